"""TF-IDF and LSA: counts of terms, fitted to the user's own texts. No torch."""

from __future__ import annotations

from zoo.keys import KeyMap, move
from zoo.spec import BATCH, Dim, Family, TensorSpec, TermPreprocess, WeightsSpec
from zoo_classic.term_config import TermConfig

_STATE = (
    KeyMap(
        name="fitted terms",
        rules=(move("weights", "weights"), move("components", "components")),
    ),
)
_NEEDS = WeightsSpec(source="none", files=(), reason="it is fitted to your own texts")
_FIT = (
    "Fit it before use: encoder.fit(texts), encoder.save(folder), zoo.load(folder). Once fitted it "
    "can be exported."
)

TFIDF = Family(
    name="tfidf",
    title="Term-weighting approaches in automatic text retrieval",
    authors="Salton, Gerard and Buckley, Christopher",
    url="https://doi.org/10.1016/0306-4573(88)90021-0",
    year=1988,
    objective="closed form (frequencies of terms in documents)",
    license="apache-2.0",
    modality="text",
    keymaps=_STATE,
)
LSA = Family(
    name="lsa",
    title="Indexing by latent semantic analysis",
    authors="Deerwester, Scott and others",
    url="https://doi.org/10.1002/(SICI)1097-4571(199009)41:6%3C391::AID-ASI1%3E3.0.CO;2-9",
    year=1990,
    objective="truncated singular value decomposition of weighted counts",
    license="apache-2.0",
    modality="text",
    keymaps=_STATE,
)

TERMS = 65_536
_LENGTH = Dim(name="length", min=1, typical=32, max=TERMS)
_INPUTS = (
    TensorSpec(name="term_ids", dtype="int64", shape=(BATCH, _LENGTH), padding="masked"),
    TensorSpec(name="counts", dtype="float32", shape=(BATCH, _LENGTH), padding="masked"),
)

ROWS = (
    TFIDF.model(
        "tfidf",
        config=TermConfig(terms=TERMS),
        weights=_NEEDS,
        preprocess=TermPreprocess(),
        inputs=_INPUTS,
        outputs=("pooled", "sparse"),
        params=0,
        export="algebra",
        note=f"{_FIT} Formulas and terms are scikit-learn's; a vector has a column a term, of the "
        f"{TERMS:,} most frequent ones at most. The licence is this implementation's.",
        source="https://scikit-learn.org/stable/modules/feature_extraction.html",
    ),
    LSA.model(
        "lsa",
        config=TermConfig(terms=TERMS, components=100),
        weights=_NEEDS,
        preprocess=TermPreprocess(),
        inputs=_INPUTS,
        outputs=("pooled",),
        params=0,
        export="algebra",
        note=f"{_FIT} TF-IDF projected to the leading right singular vectors and scaled to unit "
        "length. Signs of components are arbitrary; here their largest entry is positive. The "
        "licence is this implementation's.",
        source="https://scikit-learn.org/stable/modules/decomposition.html",
    ),
)
