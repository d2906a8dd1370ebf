"""Rules compiled to a set: each for every source that it can run on, to conditions over shared atoms."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from sigma.rule import SigmaRule

from huntbeam.schemas import uid
from huntbeam.transforms.sigma.correlations import asked, resolve
from huntbeam.transforms.sigma.documents import Document
from huntbeam.transforms.sigma.load import Loaded, Parsed, load, named, parse_all
from huntbeam.transforms.sigma.plan import Rule, RuleError, RuleSet, Variant
from huntbeam.transforms.sigma.prepare import prepared
from huntbeam.transforms.sigma.records import Records, marks
from huntbeam.transforms.sigma.user_pipelines import UserPipeline
from huntbeam.transforms.sigma.variants import Compiler, Remark
from huntbeam.transforms.sigma.versions import versions


def compile_rules(paths: Iterable[str | os.PathLike[str]], user: Sequence[UserPipeline] = ()) -> RuleSet:
    """The rules below some paths. Raises UnusableError for a path that does not exist."""
    return compile_loaded(load(paths), user)


def compile_documents(
    found: Iterable[Document | RuleError], user: Sequence[UserPipeline] = (), records: Records = Records.WINDOWS
) -> RuleSet:
    """The same of documents that are read already."""
    return compile_loaded(parse_all(found), user, records)


def compile_loaded(loaded: Loaded, user: Sequence[UserPipeline] = (), records: Records = Records.WINDOWS) -> RuleSet:
    """Parsed rules, compiled. A rule that runs on none of its sources is an error, a limit of one that runs a note."""
    compiler = Compiler(user, loaded.filters, records)
    rules: list[Rule] = []
    errors = list(loaded.errors)
    notes = list(loaded.notes)
    seen: dict[str, Parsed] = {}
    used: set[int] = set()
    wanted = asked(loaded.correlations)
    for parsed in loaded.rules:
        remark = _unusable(parsed, seen)
        if remark is not None:
            errors.append(_told(parsed, remark))
            continue
        names = (_id(parsed), parsed.rule.name or "")
        outcome = compiler.variants(parsed, set().union(*(wanted.get(name, set()) for name in names)))
        used |= outcome.filters
        (notes if outcome.variants else errors).extend(_told(parsed, remark) for remark in outcome.remarks)
        if outcome.variants:
            seen[_id(parsed)] = parsed
            rules.append(_described(parsed, outcome.variants))
    idle = [one for number, one in enumerate(loaded.filters) if number not in used]
    notes += [_told(one, Remark("UnusedFilter", "the filter is for none of the rules")) for one in idle]
    resolved = resolve(rules, compiler.atoms, loaded.correlations)
    compiled = RuleSet(
        digest=uid.digest(
            "s1", [one.text for one in loaded.texts], [one.text for one in user], versions(), *marks(records)
        ),
        rules=resolved.rules,
        atoms=tuple(compiler.atoms),
        correlations=resolved.correlations,
        errors=_ordered([*errors, *resolved.errors]),
        notes=_ordered(notes),
    )
    return prepared(compiled)


def _unusable(parsed: Parsed, seen: dict[str, Parsed]) -> Remark | None:
    product = parsed.rule.logsource.product if isinstance(parsed.rule, SigmaRule) else None
    if product != "windows":
        return Remark("NotWindows", f"the log source is {f'that of {product}' if product else 'of no product'}")
    first = seen.get(_id(parsed))
    if first is None:
        return None
    where = f"{first.document.file}, line {first.document.line}"
    return Remark("Duplicate", f"a rule with this id stands in {where}")


def _id(parsed: Parsed) -> str:
    return str(parsed.rule.id) if parsed.rule.id else uid.digest("r1", parsed.document.text)


def _described(parsed: Parsed, variants: tuple[Variant, ...]) -> Rule:
    rule, document = parsed.rule, parsed.document
    if not isinstance(rule, SigmaRule):
        raise TypeError("a rule is expected")
    return Rule(
        id=_id(parsed),
        name=_text(rule.name),
        title=str(rule.title),
        description=_text(rule.description),
        level=str(rule.level) if rule.level else None,
        status=str(rule.status) if rule.status else None,
        author=_text(rule.author),
        license=_text(rule.license),
        tags=tuple(str(tag) for tag in rule.tags),
        references=tuple(map(str, rule.references)),
        falsepositives=tuple(map(str, rule.falsepositives)),
        fields=tuple(map(str, rule.fields)),
        category=rule.logsource.category,
        service=rule.logsource.service,
        file=document.file,
        line=document.line,
        alerts=True,
        variants=variants,
    )


def _text(value: object) -> str | None:
    """What YAML took for something else, text again: what is packed has to be what is unpacked."""
    return None if value is None else str(value)


def _told(parsed: Parsed, remark: Remark) -> RuleError:
    document = parsed.document
    return RuleError(document.file, document.line, named(parsed.data), *remark)


def _ordered(errors: Iterable[RuleError]) -> tuple[RuleError, ...]:
    return tuple(sorted(set(errors), key=lambda one: (one.file, one.line, one.error_class, one.reason)))
