"""What the devnet's agents do for a living: words that searches, facets and lists can show. Pure.

Skills and domains are paths of OASF 0.8.0.
"""

from __future__ import annotations

import msgspec


class Trade(msgspec.Struct, frozen=True):
    """One line of work.

    Attributes:
        nouns: what its agents call themselves.
        deeds: what one does, as the predicate of a sentence.
        tools: what it can be called for, and what that gives.
        skills, domains: of OASF.
    """

    nouns: tuple[str, ...]
    deeds: tuple[str, ...]
    tools: dict[str, str]
    skills: tuple[str, ...]
    domains: tuple[str, ...]
    tags: tuple[str, ...]


_TEXT = "natural_language_processing"
_SEARCH = "retrieval_augmented_generation/retrieval_of_information/search"

TRADES: tuple[Trade, ...] = (
    Trade(
        ("Auditor", "Contract Reviewer"),
        (
            "audits Solidity and Vyper contracts before they are deployed",
            "finds re-entrancy, unchecked calls and broken access control",
            "explains every finding with the line it stands on and a test that shows it",
        ),
        {
            "audit_contract": "Findings about the verified source at an address",
            "explain_transaction": "What a transaction did, call by call",
            "check_upgrade": "Whether two versions of a contract keep the same storage layout",
        },
        (
            "security_privacy/vulnerability_analysis",
            "analytical_skills/coding_skills/code_optimization",
        ),
        ("technology/blockchain/smart_contracts",),
        ("security", "solidity", "audit"),
    ),
    Trade(
        ("Broker", "Yield Scout"),
        (
            "compares lending rates and liquidity pools across chains",
            "rebalances a portfolio within the limits its owner sets",
            "quotes swaps with slippage and gas included",
        ),
        {
            "quote_swap": "Best route and price for a pair of tokens",
            "find_yield": "Pools by annual yield, with the risks of each",
            "rebalance": "The trades that bring a portfolio back to its targets",
        },
        ("advanced_reasoning_planning/strategic_planning", "tabular_text/tabular_regression"),
        ("technology/blockchain/defi", "finance_and_business/investment_services"),
        ("defi", "trading", "yield"),
    ),
    Trade(
        ("Translator", "Interpreter"),
        (
            "translates between forty languages and keeps the tone",
            "localises user interfaces, subtitles and legal notices",
            "asks back where a sentence can be read in two ways",
        ),
        {
            "translate": "A text in another language",
            "detect_language": "The language of a text, with a confidence",
            "proofread": "Corrections, each with its reason",
        },
        (
            f"{_TEXT}/language_translation/translation",
            f"{_TEXT}/language_translation/multilingual_understanding",
        ),
        ("education/e_learning",),
        ("translation", "languages"),
    ),
    Trade(
        ("Forecaster", "Weather Desk"),
        (
            "forecasts wind, rain and frost for a place and a week",
            "watches prices and says when they move",
            "gives every forecast with its error of last month",
        ),
        {
            "forecast": "Hourly values for a place or a market",
            "alert_when": "A message once a threshold is crossed",
            "backtest": "How good the forecasts of a past period were",
        },
        ("tabular_text/tabular_regression",),
        ("environmental_science/climate_science", "agriculture/precision_agriculture"),
        ("weather", "prices", "forecast"),
    ),
    Trade(
        ("Courier", "Travel Planner"),
        (
            "books trains, ferries and flights within a budget",
            "plans itineraries that leave time to eat",
            "rebooks on its own when a connection is missed",
        ),
        {
            "search_trips": "Connections between two places, by price and by time",
            "book": "A reservation, paid from the caller's allowance",
            "rebook": "Another connection after a cancellation",
        },
        ("advanced_reasoning_planning/strategic_planning", "tool_interaction/workflow_automation"),
        ("hospitality_and_tourism/travel_services",),
        ("travel", "booking"),
    ),
    Trade(
        ("Editor", "Summariser"),
        (
            "summarises long documents and keeps the numbers",
            "rewrites drafts in plain words",
            "checks quotations against their sources",
        ),
        {
            "summarise": "The gist of a document, at a chosen length",
            "rewrite": "The same text in another register",
            "check_facts": "Claims of a text with sources for and against",
        },
        (
            f"{_TEXT}/natural_language_generation/summarization",
            f"{_TEXT}/analytical_reasoning/fact_verification",
        ),
        ("education/educational_technology",),
        ("writing", "summaries"),
    ),
    Trade(
        ("Tutor", "Maths Coach"),
        (
            "teaches algebra and statistics step by step",
            "sets exercises that fit what the pupil got wrong",
            "never gives the answer before the second try",
        ),
        {
            "explain": "A concept at the level asked for",
            "make_exercise": "An exercise with a worked solution",
            "grade": "Marks for an answer, and what is missing",
        },
        (
            f"{_TEXT}/natural_language_generation/question_generation",
            f"{_TEXT}/personalization/user_adaptation",
        ),
        ("education/pedagogy", "education/curriculum_design"),
        ("education", "mathematics"),
    ),
    Trade(
        ("Illustrator", "Image Maker"),
        (
            "draws pictures from descriptions, in one house style per customer",
            "describes photographs for people who cannot see them",
            "makes thumbnails that survive at forty pixels",
        ),
        {
            "draw": "A picture of what is described",
            "describe_image": "A description of a picture",
            "upscale": "The same picture, larger",
        },
        (
            "multi_modal/image_processing/text_to_image",
            "multi_modal/image_processing/image_to_text",
        ),
        ("technology/data_science/data_visualization",),
        ("images", "design"),
    ),
    Trade(
        ("Clerk", "Compliance Desk"),
        (
            "reads contracts and lists what each party owes",
            "screens counterparties against sanction lists",
            "drafts notices under the law of five countries",
        ),
        {
            "review_contract": "Obligations, dates and unusual clauses of a contract",
            "screen": "Whether an address or a name is on a list",
            "draft_notice": "A letter, with the statutes it rests on",
        },
        (f"{_TEXT}/information_retrieval_synthesis/document_passage_retrieval",),
        ("legal/contract_law", "legal/regulatory_compliance"),
        ("legal", "compliance"),
    ),
    Trade(
        ("Librarian", "Research Assistant"),
        (
            "searches papers and patents and says what they show",
            "answers questions from your own documents, with page numbers",
            "keeps a reading list and drops what was retracted",
        ),
        {
            "search_papers": "Publications about a question, newest first",
            "answer": "An answer with the passages it rests on",
            "cite": "A reference in the style asked for",
        },
        (_SEARCH, f"{_TEXT}/information_retrieval_synthesis/question_answering"),
        ("life_science/bioinformatics", "healthcare/healthcare_informatics"),
        ("research", "papers"),
    ),
    Trade(
        ("Sentinel", "Node Watcher"),
        (
            "watches validators, bridges and oracles around the clock",
            "pages its owner when a block is missed or a price feed stalls",
            "keeps a public log of every outage",
        ),
        {
            "status": "What is up, and since when",
            "watch": "An alert for an address, an event or a node",
            "trace": "Which contracts a transfer passed through",
        },
        ("security_privacy/threat_detection", "tool_interaction/api_schema_understanding"),
        ("technology/blockchain/blockchain", "technology/security/cybersecurity"),
        ("monitoring", "alerts", "oracles"),
    ),
    Trade(
        ("Cook", "Menu Planner"),
        (
            "plans a week of meals around what is in the cupboard",
            "counts nutrients and swaps what you cannot eat",
            "orders the shopping from the cheapest shop that is open",
        ),
        {
            "plan_meals": "Meals for a number of days and people",
            "substitute": "What to take instead of an ingredient",
            "shopping_list": "Everything missing, by shop",
        },
        ("advanced_reasoning_planning/strategic_planning",),
        ("hospitality_and_tourism/food_and_beverage", "finance_and_business/consumer_goods"),
        ("food", "nutrition"),
    ),
)

FIRST_NAMES = (
    *("Amber", "Basalt", "Cedar", "Dune", "Ember", "Fjord", "Garnet", "Heron", "Indigo", "Juniper"),
    *("Kestrel", "Linden", "Marlow", "Nimbus", "Onyx", "Petrel", "Quartz", "Rowan", "Saffron"),
)

FOREIGN_NAMES: tuple[tuple[str, str, str], ...] = (
    ("みどり翻訳工房", "midori", "日本語と英語の技術文書を翻訳します。"),
    ("墨客写作", "moke", "撰写并校对中文合同和说明书。"),
    ("Аналитик Волга", "volga", "Следит за ценами и объясняет, почему они меняются."),
    ("한결 번역가", "hangyeol", "한국어 계약서를 번역하고 검토합니다."),
    ("مترجم النيل", "nile", "يترجم العقود بين العربية والإنجليزية."),
    ("Übersetzerin Köln", "koeln", "Übersetzt Verträge, prüft Fristen und erklärt beides."),
    ("नर्मदा शिक्षक", "narmada", "गणित सरल हिंदी में सिखाता है।"),
    ("ผู้ช่วยเดินทาง", "chao-phraya", "วางแผนการเดินทางและจองตั๋วรถไฟ"),
)
"""A name, what its host is called, and what its agent says of itself."""
