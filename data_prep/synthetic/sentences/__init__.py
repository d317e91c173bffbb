"""Sentences for the synthetic corpus, all written for it: language -> sentences."""

from data_prep.synthetic.sentences.english import ENGLISH
from data_prep.synthetic.sentences.german_dutch_polish import DUTCH, GERMAN, POLISH
from data_prep.synthetic.sentences.romance import FRENCH, ITALIAN, PORTUGUESE, SPANISH

SENTENCES = {
    "en": ENGLISH,
    "de": GERMAN,
    "fr": FRENCH,
    "es": SPANISH,
    "it": ITALIAN,
    "pl": POLISH,
    "pt": PORTUGUESE,
    "nl": DUTCH,
}
