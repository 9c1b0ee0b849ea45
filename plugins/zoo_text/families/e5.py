"""E5: Wang et al., 2022, and the multilingual ones, 2024. No torch."""

from __future__ import annotations

from dataclasses import replace

from zoo.spec import Family, Paper, Role
from zoo_text.families.layouts import BERT
from zoo_text.families.rows import BASE, LARGE, MINI, XLM_R_VOCAB, roberta, text_model
from zoo_text.families.xlm_roberta import SENTENCE_PIECE

FAMILY = Family(
    name="e5",
    title="Text Embeddings by Weakly-Supervised Contrastive Pre-training",
    authors="Wang, Liang and others",
    arxiv="2212.03533",
    year=2022,
    objective="contrastive, on weakly supervised pairs, then fine-tuned",
    license="mit",
    modality="text",
    languages=("en",),
    keymaps=BERT,
)

MULTILINGUAL = Paper(
    title="Multilingual E5 Text Embeddings: A Technical Report",
    authors="Wang, Liang and others",
    arxiv="2402.05672",
    year=2024,
)

ROLES = {"query": Role(prompt="query: "), "document": Role(prompt="passage: ")}
# Trained with a prefix on every text; the authors ask for this one where the two sides are alike.
DEFAULT = "query"
PREFIX = (
    'Every text needs a prefix: role="query" or role="document" in retrieval. Without a role a '
    'text is taken as a query, which is what the authors ask for in symmetric tasks; prompt="" '
    "leaves the prefix out."
)

INSTRUCT_ROLES = {
    "query": Role(
        prompt="Instruct: Given a web search query, retrieve relevant passages that answer the "
        "query\nQuery: "
    ),
    "document": Role(),
}

MODELS = (
    text_model(
        FAMILY,
        "e5-small-v2",
        repo="intfloat/e5-small-v2",
        revision="dca8b1a9dae0d4575df2bf423a5edb485a431236",
        config=replace(MINI, normalize=True),
        params=33_212_160,
        roles=ROLES,
        default_role=DEFAULT,
        note=PREFIX,
    ),
    text_model(
        FAMILY,
        "e5-base-v2",
        repo="intfloat/e5-base-v2",
        revision="1c644c92ad3ba1efdad3f1451a637716616a20e8",
        config=replace(BASE, normalize=True),
        params=108_891_648,
        roles=ROLES,
        default_role=DEFAULT,
        note=PREFIX,
    ),
    text_model(
        FAMILY,
        "e5-large-v2",
        repo="intfloat/e5-large-v2",
        revision="b322e09026e4ea05f42beadf4d661fb4e101d311",
        config=replace(LARGE, normalize=True),
        params=334_092_288,
        roles=ROLES,
        default_role=DEFAULT,
        note=PREFIX,
    ),
    text_model(
        FAMILY,
        "multilingual-e5-small",
        repo="intfloat/multilingual-e5-small",
        revision="fd1525a9fd15316a2d503bf26ab031a61d056e98",
        # BERT's body with XLM-R's pieces: positions start at 0, as in BERT.
        config=replace(MINI, vocab=250037, normalize=True),
        params=117_505_920,
        tokenizer=SENTENCE_PIECE,
        pad_id=1,
        roles=ROLES,
        default_role=DEFAULT,
        year=2024,
        languages=("multilingual",),
        papers=(MULTILINGUAL,),
        note=PREFIX,
    ),
    text_model(
        FAMILY,
        "multilingual-e5-base",
        repo="intfloat/multilingual-e5-base",
        revision="d13f1b27baf31030b7fd040960d60d909913633f",
        config=replace(roberta(BASE, vocab=XLM_R_VOCAB), normalize=True),
        params=277_453_056,
        tokenizer=SENTENCE_PIECE,
        pad_id=1,
        roles=ROLES,
        default_role=DEFAULT,
        year=2024,
        languages=("multilingual",),
        papers=(MULTILINGUAL,),
        note=PREFIX,
    ),
    text_model(
        FAMILY,
        "multilingual-e5-large",
        repo="intfloat/multilingual-e5-large",
        revision="ab10c1a7f42e74530fe7ae5be82e6d4f11a719eb",
        config=replace(roberta(LARGE, vocab=XLM_R_VOCAB), normalize=True),
        params=558_840_832,
        tokenizer=SENTENCE_PIECE,
        pad_id=1,
        roles=ROLES,
        default_role=DEFAULT,
        year=2024,
        languages=("multilingual",),
        papers=(MULTILINGUAL,),
        note=PREFIX,
    ),
    text_model(
        FAMILY,
        "multilingual-e5-large-instruct",
        repo="intfloat/multilingual-e5-large-instruct",
        revision="baa7be480a7de1539afce709c8f13f833a510e0a",
        config=replace(roberta(LARGE, vocab=XLM_R_VOCAB), normalize=True),
        params=558_840_832,
        tokenizer=SENTENCE_PIECE,
        pad_id=1,
        roles=INSTRUCT_ROLES,
        year=2024,
        languages=("multilingual",),
        papers=(MULTILINGUAL,),
        note='Queries carry an instruction: role="query" gives that of web search; for another '
        'task use prompt="Instruct: {task}\\nQuery: ". Documents carry none.',
        weights_note="float16 on disk",
    ),
)
