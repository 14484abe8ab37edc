"""Findings: every observation that can be made about a file, a URI, an identity or an endpoint.

Codes are stable: they stand in answers, filters and people's CI. A code never changes its meaning;
one that goes out of use stays listed. `docs/reference/findings.md` is written from this table.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Subject = Literal["document", "identity", "uri", "endpoint", "attachment"]
Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")
"""Worst first."""


class FindingKind(msgspec.Struct, frozen=True):
    """What one code means.

    Attributes:
        severity: error: readers lose or mistake something because of it. warning: some will, or a
            person should look. info: worth knowing; nothing is wrong.
        title: one sentence that is true of whatever has the finding.
        fix: what its author can do.
    """

    code: str
    subject: Subject
    severity: Severity
    title: str
    fix: str


def _kinds(subject: Subject, *rows: tuple[str, Severity, str, str]) -> list[FindingKind]:
    return [FindingKind(code, subject, severity, title, fix) for code, severity, title, fix in rows]


_DOCUMENT = _kinds(
    "document",
    # What the bytes are
    (
        "empty-document",
        "error",
        "There are no bytes, or only white space.",
        "Publish the registration file at the URI.",
    ),
    (
        "html-page",
        "error",
        "An HTML page stands where the JSON belongs.",
        "Let the URI lead to the JSON itself, not to a page about it or to an error page.",
    ),
    (
        "not-json",
        "error",
        "The bytes are no JSON.",
        "Run the file through a JSON parser and mend what it complains about.",
    ),
    (
        "not-an-object",
        "error",
        "The JSON is a list, a text or a number, not an object.",
        "Make the outermost value an object: `{ … }`.",
    ),
    (
        "not-a-registration",
        "error",
        "The JSON object is something other than a registration file.",
        "Publish a registration file at the agent's URI and name other files in its `services`.",
    ),
    (
        "lenient-json",
        "warning",
        "The text breaks the JSON grammar in a way that we could see past.",
        "Write it with a JSON library: no comments, no trailing commas, no text after the end.",
    ),
    (
        "byte-order-mark",
        "warning",
        "The text begins with a byte order mark, or is not in UTF-8.",
        "Save it as UTF-8 without a byte order mark (RFC 8259, section 8.1).",
    ),
    (
        "invalid-utf8",
        "warning",
        "Some bytes are no UTF-8; U+FFFD stands for them here.",
        "Save it as UTF-8.",
    ),
    (
        "nul-character",
        "warning",
        "A text holds U+0000; U+FFFD stands for it here.",
        "Take the NUL characters out.",
    ),
    (
        "lone-surrogate",
        "warning",
        "A text holds half of a surrogate pair; U+FFFD stands for it here.",
        "Escape characters beyond U+FFFF as a pair, or write them as UTF-8.",
    ),
    (
        "hidden-characters",
        "warning",
        "A text holds control, invisible or direction-changing characters.",
        "Take them out: they can make a text look like another one.",
    ),
    (
        "duplicate-key",
        "warning",
        "An object has a key twice; the last value counts here, another reader may take the first.",
        "Keep one.",
    ),
    (
        "huge-number",
        "warning",
        "A number is none that every reader can hold; its digits are kept as text here.",
        "Write whole numbers beyond 2^53 as strings; NaN and infinities are not JSON.",
    ),
    (
        "too-deep",
        "warning",
        "Values are nested more than 32 levels deep; what lies below is left out here.",
        "Flatten the file.",
    ),
    (
        "too-many-values",
        "warning",
        "There are more keys or list entries than are read; the rest is left out here.",
        "Keep the file to 2,000 keys and 5,000 list entries; put large lists elsewhere.",
    ),
    (
        "long-text",
        "warning",
        "A text is longer than 16,384 characters and is cut here.",
        "Put long texts behind a link.",
    ),
    (
        "large",
        "info",
        "The file is larger than 256 KiB, which the agent0 SDKs refuse.",
        "Make it smaller.",
    ),
    (
        "oversized",
        "error",
        "The file is larger than 2 MiB and is not read.",
        "Make it smaller.",
    ),
    # Fields of a registration
    (
        "missing-type",
        "error",
        "There is no `type`.",
        'Add `"type": "https://eips.ethereum.org/EIPS/eip-8004#registration-v1"`.',
    ),
    (
        "wrong-type",
        "error",
        "`type` does not name ERC-8004.",
        "Make it exactly `https://eips.ethereum.org/EIPS/eip-8004#registration-v1`.",
    ),
    (
        "type-variant",
        "warning",
        "`type` means ERC-8004 but is not spelled as the standard has it.",
        "Make it exactly `https://eips.ethereum.org/EIPS/eip-8004#registration-v1`.",
    ),
    (
        "missing-name",
        "error",
        "There is no `name`, or an empty one.",
        "Give the agent a name.",
    ),
    (
        "missing-description",
        "warning",
        "There is no `description`.",
        "Say what the agent does, how to reach it and what it costs.",
    ),
    (
        "empty-description",
        "info",
        "`description` is empty.",
        "Say what the agent does, how to reach it and what it costs.",
    ),
    (
        "missing-image",
        "warning",
        "There is no `image`.",
        "Add the URL of a PNG, SVG or WebP picture; an empty text if there is none.",
    ),
    (
        "empty-image",
        "info",
        "`image` is empty.",
        "Add the URL of a PNG, SVG or WebP picture.",
    ),
    (
        "missing-services",
        "warning",
        "There is no `services`.",
        "List how the agent is reached; `[]` if it is not.",
    ),
    (
        "no-services",
        "info",
        "`services` is empty: nobody can call the agent.",
        "List how the agent is reached.",
    ),
    (
        "nonstandard-spelling",
        "warning",
        "A field is written as older or other tools do; strict readers miss it.",
        "Use the name and form of the standard, which the detail gives.",
    ),
    (
        "wrong-json-type",
        "warning",
        "A field has another JSON type than the standard gives it.",
        "Use the type that the detail gives.",
    ),
    (
        "malformed-service",
        "warning",
        "An entry of `services` names neither what it is nor where.",
        "Write each entry as an object with `name` and `endpoint`.",
    ),
    (
        "service-without-name",
        "warning",
        "A service does not say what it is.",
        "Add its `name`, such as `MCP`, `A2A` or `web`.",
    ),
    (
        "service-without-endpoint",
        "warning",
        "A service does not say where it is.",
        "Add its `endpoint`.",
    ),
    (
        "service-without-version",
        "info",
        "A service does not say which version of its protocol it speaks.",
        "Add its `version`, such as `2025-06-18` for MCP.",
    ),
    (
        "malformed-registration",
        "warning",
        "An entry of `registrations` names no agent that can be read.",
        'Write `{"agentId": 22, "agentRegistry": "eip155:1:0x…"}`.',
    ),
    (
        "unknown-trust",
        "info",
        "`supportedTrust` names a model that the standard does not.",
        "Use `reputation`, `crypto-economic` or `tee-attestation` where one of them is meant.",
    ),
    (
        "placeholder",
        "warning",
        "A value is a form's example that nobody filled in.",
        "Put the real value there, or take the field out.",
    ),
    # Where it points
    (
        "unsafe-url",
        "error",
        "A URL would run code, hides where it leads or carries a password.",
        "Use a plain https URL.",
    ),
    (
        "private-host",
        "error",
        "A URL leads to a private, local or otherwise unreachable host.",
        "Use a host that the whole internet can reach.",
    ),
    (
        "spoofed-host",
        "error",
        "A host name mixes scripts so that it can pass for another.",
        "Use a host name in one script.",
    ),
    (
        "malformed-url",
        "warning",
        "A value that should be a URL, an account, an address or a name is none.",
        "Write it in full: `https://host/path`, `eip155:1:0x…`, `name.eth`, `user@host`.",
    ),
    (
        "insecure-url",
        "info",
        "A URL is plain http: anybody on the way can change what it says.",
        "Use https.",
    ),
)

_IDENTITY = _kinds(
    "identity",
    (
        "registration-missing",
        "warning",
        "The file names no agent, so it could be anybody's.",
        "Add the agent to `registrations` once it is registered, and set the URI again if needed.",
    ),
    (
        "registration-elsewhere",
        "error",
        "The file names other agents only, not this one.",
        "Add this agent to `registrations`, with the registry's address and the agent's number.",
    ),
    (
        "domain-confirmed",
        "info",
        "A host the agent names confirms it in its well-known file.",
        "Nothing to do; keep the file there.",
    ),
    (
        "domain-contradicted",
        "error",
        "A host the agent names has a well-known file that names other agents only.",
        "Add this agent to `/.well-known/agent-registration.json` of the host, or do not name it.",
    ),
    (
        "domain-missing",
        "info",
        "A host the agent names has no well-known file.",
        "Serve `/.well-known/agent-registration.json` there, with this agent in `registrations`.",
    ),
    (
        "domain-unreachable",
        "warning",
        "A host the agent names does not answer when asked for its well-known file.",
        "See that the host is up and that its certificate is valid.",
    ),
    (
        "wallet-unproven",
        "info",
        "The agent's wallet is the default set at registration: nobody signed for it.",
        "Prove one with `setAgentWallet`.",
    ),
    (
        "wallet-cleared",
        "warning",
        "The agent changed hands and its wallet was cleared; the new owner proved none.",
        "Prove one with `setAgentWallet`.",
    ),
    (
        "wallet-unset",
        "info",
        "The agent's manager took its wallet away.",
        "Prove one with `setAgentWallet` if the agent is to be paid.",
    ),
    (
        "wallet-malformed",
        "error",
        "What the chain has as the agent's wallet is no address.",
        "Set it again with `setAgentWallet`.",
    ),
    (
        "wallet-differs",
        "warning",
        "The file claims another wallet on this chain than the registry has.",
        "Take `agentWallet` out of `services`: payers must ask the registry.",
    ),
    (
        "owner-changed",
        "warning",
        "The agent changed hands after its file last changed.",
        "Let the new owner publish the file anew.",
    ),
    (
        "document-copied",
        "error",
        "The same bytes are the file of an older agent of another owner.",
        "Publish a file of the agent's own.",
    ),
    (
        "template-copy",
        "info",
        "The file differs from those of other agents only in numbers, addresses and the name.",
        "Describe what this agent does.",
    ),
    (
        "name-confusable",
        "warning",
        "The name looks like that of an established agent but is written with other characters.",
        "Choose a name that cannot be mistaken for it.",
    ),
    (
        "name-taken",
        "info",
        "An established agent of another owner has the same name.",
        "Choose another name if the two are not the same.",
    ),
)

_URI = _kinds(
    "uri",
    (
        "uri-missing",
        "warning",
        "The agent has no URI.",
        "Set one with `setAgentURI`.",
    ),
    (
        "uri-unsupported",
        "error",
        "The URI is none, or of a scheme that nobody can follow.",
        "Use `https:`, `ipfs:`, `ar:` or `data:`.",
    ),
    (
        "uri-undecodable",
        "error",
        "What the URI carries is coded in a way that cannot be undone.",
        "Write `data:application/json;base64,` and the base64 of the file.",
    ),
    (
        "uri-encoded-oddly",
        "warning",
        "What the URI carries is not coded as its label or RFC 2397 says; other readers fail.",
        "Write `data:application/json;base64,` and the base64 of the file.",
    ),
    (
        "uri-refused",
        "error",
        "The URI leads to a private host or to a port that we do not ask.",
        "Serve the file from a public host on port 443.",
    ),
    (
        "uri-unreachable",
        "error",
        "Nobody answers at the URI.",
        "See that the host is up, or set a URI that works.",
    ),
    (
        "uri-not-found",
        "error",
        "The host has no such file.",
        "Put the file there, or set a URI that works.",
    ),
    (
        "uri-server-error",
        "error",
        "The host answers with an error.",
        "Mend the server, or serve the file statically.",
    ),
    (
        "uri-oversized",
        "error",
        "What stands behind the URI is larger than 2 MiB, or inflates to more.",
        "Make the file smaller.",
    ),
    (
        "uri-insecure",
        "warning",
        "The URI is plain http: anybody on the way can change the file.",
        "Use https.",
    ),
    (
        "uri-mutable",
        "info",
        "The file can change at any time without a trace on the chain.",
        "Use `ipfs:` or `data:` where that matters.",
    ),
    (
        "uri-redirected",
        "info",
        "The host sends readers to another address.",
        "Set the URI to where the file is.",
    ),
    (
        "content-unverified",
        "info",
        "The content address could not be checked against the bytes.",
        "Add small files to IPFS as one block.",
    ),
    (
        "content-mismatch",
        "error",
        "The bytes served are not those that the content address names.",
        "Pin the file again and check its CID.",
    ),
)

_ENDPOINT = _kinds(
    "endpoint",
    (
        "endpoint-dead",
        "error",
        "A declared endpoint did not answer as its protocol wants, twice or more in a row.",
        "See that it is up, or take it out of `services`.",
    ),
    (
        "endpoint-hollow",
        "error",
        "A declared endpoint answers nonsense the same way, so there is nothing behind it.",
        "Answer unknown paths with 404 and unknown methods with an error.",
    ),
    (
        "endpoint-refused",
        "warning",
        "A declared endpoint is one that we do not call: a private host or an odd port.",
        "Use a public host on port 443.",
    ),
    (
        "endpoint-paywalled",
        "info",
        "A declared endpoint asks for payment before it answers.",
        "Nothing to do.",
    ),
    (
        "tools-differ",
        "warning",
        "The file declares tools that the endpoint does not serve.",
        "List what the endpoint serves.",
    ),
    (
        "skills-differ",
        "warning",
        "The file declares skills that the agent card does not have.",
        "List what the card has.",
    ),
    (
        "card-mismatch",
        "warning",
        "The agent card behind the endpoint is of an agent of another name.",
        "Name the agent alike in both.",
    ),
)

_ATTACHMENT = _kinds(
    "attachment",
    (
        "file-unreadable",
        "warning",
        "The file behind the record is no JSON object.",
        "Publish a file as the standard has it.",
    ),
    (
        "file-of-another-agent",
        "error",
        "The file says it is about another agent than the record on the chain.",
        "Publish the record's own file.",
    ),
    (
        "file-of-another-client",
        "error",
        "The file says it is by another client than the record on the chain.",
        "Publish the record's own file.",
    ),
    (
        "file-value-differs",
        "warning",
        "The file gives another value than the record on the chain, which counts.",
        "Write the value and its decimals as on the chain; keep large numbers exact.",
    ),
    (
        "file-tags-differ",
        "warning",
        "The file gives other tags than the record on the chain, which count.",
        "Write the tags as on the chain.",
    ),
    (
        "file-hash-weak",
        "warning",
        "The hash on the chain covers outermost fields only, as agent0's TypeScript SDK makes it.",
        "Hash the bytes of the file as they are served.",
    ),
)

FINDINGS: dict[str, FindingKind] = {
    kind.code: kind
    for kinds in (_DOCUMENT, _IDENTITY, _URI, _ENDPOINT, _ATTACHMENT)
    for kind in sorted(kinds, key=lambda kind: kind.code)
}
"""All of them by code; subjects in the order of `Subject`, codes of a subject sorted."""


def severity(code: str) -> Severity:
    """How bad it is; "info" for a code that this version does not know."""
    kind = FINDINGS.get(code)
    return kind.severity if kind else "info"
