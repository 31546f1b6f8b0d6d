"""Trains the model `small`: a keras-ocr detector and recogniser of a few MB that read printed text.

    ./run train --output FOLDER

Everything is drawn: words in Debian's fonts, on pages whose every character's place is known. The same seeds give the
same pictures; each model trains on one core, so that sums are added up in one order. docs/keras-models.md tells more.
"""
