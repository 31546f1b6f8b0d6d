"""Locales as Azure has them, by BCP 47, and the names that engines have here: ISO 639-2, as Tesseract writes them."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

_TABLE: Final = """
afr=af amh=am ara=ar asm=as aze=az aze_cyrl=az-Cyrl bel=be ben=bn bod=bo bos=bs bre=br bul=bg cat=ca ces=cs
chi_sim=zh-Hans chi_tra=zh-Hant cos=co cym=cy dan=da deu=de div=dv dzo=dz ell=el eng=en epo=eo est=et eus=eu fao=fo
fas=fa fil=fil fin=fi fra=fr fry=fy gla=gd gle=ga glg=gl guj=gu hat=ht heb=he hin=hi hrv=hr hun=hu hye=hy iku=iu
ind=id isl=is ita=it jav=jv jpn=ja kan=kn kat=ka kaz=kk khm=km kir=ky kmr=ku kor=ko lao=lo lat=la lav=lv lit=lt ltz=lb
mal=ml mar=mr mkd=mk mlt=mt mon=mn mri=mi msa=ms mya=my nep=ne nld=nl nor=no oci=oc ori=or pan=pa pol=pl por=pt pus=ps
que=qu ron=ro rus=ru san=sa sin=si slk=sk slv=sl snd=sd spa=es sqi=sq srp=sr srp_latn=sr-Latn sun=su swa=sw swe=sv
tam=ta tat=tt tel=te tgk=tg tgl=tl tha=th tir=ti ton=to tur=tr uig=ug ukr=uk urd=ur uzb=uz uzb_cyrl=uz-Cyrl vie=vi
yid=yi yor=yo
"""
_LOCALES: Final = MappingProxyType(dict(entry.split("=") for entry in _TABLE.split()))
_NAMES: Final = MappingProxyType(
    {locale.lower(): name for name, locale in _LOCALES.items()}
    | {
        **{"nb": "nor", "nn": "nor", "iw": "heb", "zh": "chi_sim", "zh-cn": "chi_sim", "zh-sg": "chi_sim"},
        **{"zh-tw": "chi_tra", "zh-hk": "chi_tra", "zh-mo": "chi_tra", "sr-cyrl": "srp"},
    }
)


def locale_of(language: str) -> str:
    """Of a name here; of a script's variant, such as jpn_vert, its language's; the name itself where none is known."""
    return _LOCALES.get(language) or _LOCALES.get(language.partition("_")[0]) or language


def language_of(locale: str) -> str | None:
    """The name here of `en` or `en-US`; None where there is none."""
    parts = locale.replace("_", "-").lower().split("-")
    for length in range(len(parts), 0, -1):
        if (name := _NAMES.get("-".join(parts[:length]))) is not None:
            return name
    return None
