"""Registration files are read before they go to the chain, as everybody else will read them."""

from __future__ import annotations

from collections.abc import Iterable

from renown.api.answers.operations import Warned
from renown.derive.files import Content, File, file_bytes
from renown.errors import RegistrationRefused
from renown.spec.documents import Finding, read_document
from renown.spec.findings import FINDINGS
from renown.spec.inline import read_inline


def checked(content: Content) -> list[Warned]:
    """What is to be said of a registration file that we write, or that stands in its URI.

    Nothing is said of a file elsewhere: it is read when the chain names it.

    Raises:
        RegistrationRefused: it has errors; `findings` of its context lists them.
    """
    if isinstance(content, File):
        return _judged(read_document(file_bytes(content.fields)).findings)
    if content.uri.lstrip()[:5].lower() != b"data:":
        return []
    inline = read_inline(content.uri)
    found = list(inline.findings)
    if inline.body is not None:
        found += read_document(inline.body).findings
    return _judged(found)


def _judged(findings: Iterable[Finding]) -> list[Warned]:
    warnings, errors = [], []
    for finding in findings:
        kind = FINDINGS[finding.code]
        said = Warned(finding.code, finding.detail or kind.title, finding.path)
        if kind.severity == "error":
            errors.append({"code": said.code, "path": said.path, "detail": said.detail})
        elif kind.severity == "warning":
            warnings.append(said)
    if errors:
        first = errors[0]
        raise RegistrationRefused(
            f"{first['code']}: {first['detail']}; see /docs/reference/findings", findings=errors
        )
    return warnings
