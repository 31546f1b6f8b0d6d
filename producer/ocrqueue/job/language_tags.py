"""Names of languages here, and as BCP-47 and so the big clouds have them.

They are the languages of https://cloud.google.com/vision/docs/languages (of April 2026), all three levels of support.
Names are ISO 639-2 codes (terminological, as Tesseract has them) or, where a script is told apart, Tesseract's names.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

_SUPPORTED: Final = """
afr=af ara=ar bel=be ben=bn bul=bg cat=ca ces=cs chi_sim=zh-Hans chi_tra=zh-Hant dan=da deu=de ell=el eng=en est=et
fas=fa fil=fil fin=fi fra=fr guj=gu heb=iw hin=hi hrv=hr hun=hu hye=hy ind=id isl=is ita=it jpn=ja kan=kn khm=km kor=ko
lao=lo lav=lv lit=lt mal=ml mar=mr mkd=mk msa=ms nep=ne nld=nl nor=no pan=pa pol=pl por=pt ron=ro rus=ru slk=sk slv=sl
spa=es sqi=sq srp=sr srp_latn=sr-Latn swe=sv tam=ta tel=te tgl=tl tha=th tur=tr ukr=uk vie=vi yid=yi zho=zh
"""
_EXPERIMENTAL: Final = """
amh=am asm=as aze=az aze_cyrl=az-Cyrl bod=bo bos=bs ceb=ceb chr=chr cym=cy div=dv dzo=dz epo=eo eus=eu gle=ga glg=gl
grc=grc hat=ht jav=jv kat=ka kaz=kk kir=ky lat=la mlt=mt mon=mn mya=my ori=or pus=ps san=sa sin=si swa=sw syr=syr
tir=ti urd=ur uzb=uz uzb_cyrl=uz-Cyrl zul=zu
"""
_MAPPED: Final = """
ace=ace ach=ach ada=ada aka=ak alg=alg ang=ang arn=arn ast=ast ath=ath aym=ay bak=ba bam=bm ban=ban bem=bem bik=bik
bis=bi bnt=bnt bre=br btk=btk che=ce cho=cho chv=cv cre=cr crh=crh dak=dak dua=dua efi=efi enm=enm ewe=ee fao=fo fij=fj
fon=fon fro=fro fry=fy ful=ff gaa=gaa gay=gay gil=gil gla=gd glv=gv gmh=gmh goh=goh got=got grn=gn hau=ha haw=haw her=hz
hil=hil iba=iba ibo=ig ilo=ilo kaa=kaa kab=kab kac=kac kal=kl kam=kam kau=kr kha=kha kik=ki kin=rw kom=kv kon=kg kos=kos
kua=kj lin=ln lol=lol loz=loz lub=lu lug=lg luo=luo mad=mad mah=mh man=man men=men min=min mlg=mg moh=moh mri=mi mus=mus
nah=nah nav=nv nde=nd ndo=ng nds=nds niu=niu non=non nso=nso nya=ny nyn=nyn nzi=nzi oci=oc oji=oj oss=os pag=pag pam=pam
pap=pap pro=pro que=qu roh=rm rom=rom run=rn sag=sg sah=sah sco=sco smo=sm sna=sn son=son sot=st ssw=ss sun=su tah=ty
tat=tt tem=tem tgk=tg tog=tog ton=to tsn=tn tso=ts tuk=tk udm=udm ven=ve vot=vot wol=wo xho=xh yor=yo zap=zap
"""

TAGS: Final = MappingProxyType(dict(entry.split("=") for entry in f"{_SUPPORTED}{_EXPERIMENTAL}{_MAPPED}".split()))
"""Name here -> BCP-47, with the few tags that Google has of its own, such as iw."""

_NAMES: Final = {tag.lower(): name for name, tag in TAGS.items()} | {
    "he": "heb",
    "nb": "nor",
    "zh-hant-hk": "chi_tra",
}
_OF_REGIONS: Final = {
    "zh": "chi_sim",
    "zh-cn": "chi_sim",
    "zh-sg": "chi_sim",
    "zh-tw": "chi_tra",
    "zh-hk": "chi_tra",
    "zh-mo": "chi_tra",
}
"""Where a script is meant that has a name of its own."""


def name_of(tag: str) -> str:
    """The name here of a language that was detected; the tag, in lower case, where there is none."""
    return _longest(tag.lower(), _NAMES) or tag.lower()


def asked_name_of(tag: str) -> str:
    """The same of a language that somebody asks for: engines have data for scripts, not for Chinese as a whole."""
    return _longest(tag.lower(), _NAMES | _OF_REGIONS) or tag.lower().replace("-", "_")


def tag_of(name: str) -> str:
    """BCP-47 of a language by its name here, or by its script's, such as eng/old; `und` where there is none."""
    return TAGS.get(name) or TAGS.get(name.partition("/")[0].partition("_")[0], "und")


def _longest(tag: str, names: dict[str, str]) -> str | None:
    parts = tag.split("-")
    found = (names.get("-".join(parts[:length])) for length in range(len(parts), 0, -1))
    return next((name for name in found if name is not None), None)
