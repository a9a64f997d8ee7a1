"""Targets as data: what an engine can do inside a lane, its limits, its costs and what its values mean.

A target class in ``irsql/targets`` fills these tables; passes read them from the module, which carries its target
as the attribute ``target`` (:func:`attach`, :func:`target_of`). So a dump compiles on a machine that has neither the
engine nor a calibration. All classes are frozen and print as ``#irsql.<name><fields in order>``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

import attrs

from irsql.ir.attributes import Attribute, AttrValue, attribute
from irsql.ir.core import IRError, Module

LANE_OPS = ("dot", "map", "add", "mul", "scale", "sum", "slice", "concat", "pack", "unpack", "cast")
"""The closed set of operations inside a lane."""

Status = Literal["native", "lowered", "unsupported"]


@attribute("irsql.capability")
class Capability(Attribute):
    """How one lane op works on one lane carrier.

    Attributes
    ----------
    op
        A member of :data:`LANE_OPS`.
    carrier
        Name of the lane carrier (``list`` for ``FLOAT[]``, ``array`` for ``FLOAT[n]``, ``vector``, ``halfvec``, …).
    status
        ``native``, ``lowered`` (``to`` says to what) or ``unsupported`` (``reason`` says why).
    to
        The lowering of a ``lowered`` op: the native function, or the name of a form (``unnest``, ``columns``).
    reason
        One sentence for diagnostics.
    """

    op: str
    carrier: str
    status: str = "native"
    to: str = ""
    reason: str = ""

    def verify(self) -> None:
        if self.op not in LANE_OPS:
            raise ValueError(f"{self.op!r} is not a lane op ({', '.join(LANE_OPS)})")
        if self.status not in ("native", "lowered", "unsupported"):
            raise ValueError(f"status of {self.op} on {self.carrier} is {self.status!r}")
        if self.status == "lowered" and not self.to:
            raise ValueError(f"{self.op} on {self.carrier} is lowered to nothing")
        if self.status == "unsupported" and not self.reason:
            raise ValueError(f"{self.op} on {self.carrier} is unsupported without a reason")


@attribute("irsql.limits")
class Limits(Attribute):
    """What the engine refuses (or what makes it unusable) above a number; defaults hold for every engine at hand.

    Attributes
    ----------
    max_columns
        Columns of a table or a select list.
    max_joins
        Tables in one FROM.
    max_expression_depth
        Nesting of scalar expressions and subqueries.
    max_sum_terms
        Terms of one sum written out in a select list.
    max_identifier_bytes
        Bytes of an identifier after mangling.
    max_statement_bytes
        Bytes of one statement's text.
    max_ctes
        Common table expressions of one statement.
    max_function_args
        Arguments of one function call.
    max_lane
        Elements of a lane.
    """

    max_columns: int = 1000
    max_joins: int = 60
    max_expression_depth: int = 50
    max_sum_terms: int = 256
    max_identifier_bytes: int = 63
    max_statement_bytes: int = 900_000
    max_ctes: int = 500
    max_function_args: int = 100
    max_lane: int = 2048


@attribute("irsql.costs")
class Costs(Attribute):
    """Coefficients of the cost model, with the machine and the day they were measured on.

    Attributes
    ----------
    machine, date
        Where and when the calibration ran ("" for values that were not measured).
    mac_ns
        Nanoseconds per multiply-add on one core: of ``dot`` by lane carrier, of sums of products of columns (``wide``),
        of sums over rows of products with columns (``wsum``).
    call_ns
        Per inner product, whatever its length.
    double_ns
        Per multiply-add in a lane and doubling of the lane's length beyond the shortest that are equally fast.
    byte_ns
        Per byte scanned.
    row_ns
        Per row that comes out of a join.
    group_ns
        Per row that goes into an aggregate.
    statement_ms
        Fixed cost of executing one prepared statement.
    term_us
        Per term of a scalar expression per statement (binding and planning).
    pack_ns, unpack_ns
        Per element packed into, or taken out of, a lane.
    sum_us
        Per column that a weighted sum adds up over rows, with what its result goes through; ``term_us`` where a
        calibration did not tell them apart.
    """

    machine: str = ""
    date: str = ""
    mac_ns: Mapping[str, AttrValue] = attrs.field(factory=dict[str, AttrValue])
    byte_ns: float = 0.1
    row_ns: float = 50.0
    group_ns: float = 100.0
    statement_ms: float = 0.2
    term_us: float = 1.0
    pack_ns: float = 30.0
    unpack_ns: float = 30.0
    call_ns: float = 0.0
    double_ns: float = 0.0
    sum_us: float = attrs.Factory(lambda self: self.term_us, takes_self=True)

    def mac(self, form: str) -> float:
        """Nanoseconds per multiply-add of a form; 1 for one that was not measured."""
        value = self.mac_ns.get(form, 1.0)
        assert isinstance(value, (int, float)), "`verify` has seen to it"
        return float(value)

    def as_dict(self) -> dict[str, Any]:
        """Field to value."""
        return {name: getattr(self, name) for name in attrs.fields_dict(cast("Any", Costs))}

    def verify(self) -> None:
        numbers = self.as_dict()
        machine, day, forms = (numbers.pop(name) for name in ("machine", "date", "mac_ns"))
        if not isinstance(forms, dict) or not isinstance(machine, str) or not isinstance(day, str):
            raise ValueError("costs are of a machine and a date, and mac_ns has a number for each form")
        numbers |= {f"mac_ns of {form}": value for form, value in cast("dict[str, Any]", forms).items()}
        for name, value in numbers.items():
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
                raise ValueError(f"{name} must be a number that is not negative")


@attribute("irsql.layout_defaults")
class LayoutDefaults(Attribute):
    """What ``select-layout`` may choose from, and how work is shared.

    Attributes
    ----------
    carriers
        Lane carriers in order of preference; empty when the engine has none.
    min_rows_per_core
        Rows a weight relation needs before a core is worth using (row groups of DuckDB, workers of PostgreSQL).
    cores
        Cores the engine is expected to use.
    chunks
        Most rows that a contracted axis in lanes may be cut into; more than 1 where they pay, which is where a hash
        join copies lanes and a nested loop does not (``unhash-joins``).
    """

    carriers: tuple[str, ...] = ()
    min_rows_per_core: int = 1
    cores: int = 1
    chunks: int = 1


@attribute("irsql.value_contract")
class ValueContract(Attribute):
    """What the engine's values mean where engines differ.

    Attributes
    ----------
    float32
        The engine has a 32-bit float column type.
    sum_of_f32_is_f64
        ``sum`` over 32-bit floats accumulates in, or gives, 64 bits.
    underflow_raises
        A float result too small to represent is an error, not zero.
    overflow_raises
        A float result too large is an error, not infinity.
    exp_overflow_raises
        ``exp`` of a large argument is an error.
    has_nan, has_inf
        NaN and infinities survive a round trip through a column.
    nan_greatest
        NaN sorts above every number.
    integer_division
        ``/`` on two integers: ``truncates``, ``floors`` or ``float``.
    mod_sign
        Sign of ``%``: ``dividend`` or ``divisor``.
    division_by_zero
        ``/`` by zero: ``null``, ``error`` or ``ieee``.
    boolean
        The engine has a boolean type (else 0 and 1).
    folds_quoted_case
        Quoted identifiers that differ in case only are the same.
    domain_raises
        A function of a number outside of its domain (``log`` of 0, ``sqrt`` of -1) is an error.
    """

    float32: bool = True
    sum_of_f32_is_f64: bool = True
    underflow_raises: bool = False
    overflow_raises: bool = False
    exp_overflow_raises: bool = False
    has_nan: bool = True
    has_inf: bool = True
    nan_greatest: bool = True
    integer_division: str = "truncates"
    mod_sign: str = "dividend"
    division_by_zero: str = "ieee"
    boolean: bool = True
    folds_quoted_case: bool = True
    domain_raises: bool = False

    def verify(self) -> None:
        for field, allowed in (("integer_division", ("truncates", "floors", "float")),
                               ("mod_sign", ("dividend", "divisor")), ("division_by_zero", ("null", "error", "ieee"))):
            if getattr(self, field) not in allowed:
                raise ValueError(f"{field} must be one of {', '.join(allowed)}")


@attribute("irsql.target")
class Target(Attribute):
    """An engine version, as the compiler sees it.

    Attributes
    ----------
    name, version
        ``duckdb``, ``2.0``.
    dialect
        Name of the sqlglot dialect.
    capabilities
        One :class:`Capability` for every lane op on every carrier; what is not listed is unsupported.
    functions
        Scalar function of the ``expr`` dialect to its native name, or to ``unsupported``.
    limits, costs, layout, contract
        See the classes.
    options
        Anything else a target's own passes read.
    """

    name: str
    version: str = ""
    dialect: str = ""
    capabilities: tuple[Capability, ...] = ()
    functions: Mapping[str, AttrValue] = attrs.field(factory=dict[str, AttrValue])
    limits: Limits = Limits()
    costs: Costs = attrs.field(factory=Costs)
    layout: LayoutDefaults = LayoutDefaults()
    contract: ValueContract = ValueContract()
    options: Mapping[str, AttrValue] = attrs.field(factory=dict[str, AttrValue])

    def with_costs(self, costs: Costs) -> Target:
        """The same engine with other costs."""
        return cast("Target", attrs.evolve(cast("Any", self), costs=costs))

    def capability(self, lane_op: str, carrier: str) -> Capability:
        """How ``lane_op`` works on ``carrier``; unsupported with a reason where the table has no entry."""
        for cap in self.capabilities:
            if cap.op == lane_op and cap.carrier == carrier:
                return cap
        return Capability(lane_op, carrier, "unsupported", "",
                          f"the capability table of {self.name} has no entry for {lane_op} on {carrier}")

    def function(self, name: str) -> str | None:
        """Native name of an ``expr`` function; None where the engine has none."""
        native = self.functions.get(name, "unsupported")
        return native if isinstance(native, str) and native != "unsupported" else None

    def verify(self) -> None:
        seen: set[tuple[str, str]] = set()
        for cap in self.capabilities:
            cap.verify()
            if (cap.op, cap.carrier) in seen:
                raise ValueError(f"two capabilities for {cap.op} on {cap.carrier}")
            seen.add((cap.op, cap.carrier))
        self.contract.verify()
        self.costs.verify()


def attach(module: Module, target: Target) -> None:
    """Make ``module`` carry ``target``."""
    module.attrs_ = {**module.attrs_, "target": target}


def target_of(module: Module) -> Target | None:
    """The target that ``module`` carries, if any.

    Raises
    ------
    IRError
        If its attribute ``target`` is something else.
    """
    value = module.attrs_.get("target")
    if value is None or isinstance(value, Target):
        return value
    raise IRError(f"the module's target is {type(value).__name__}, expected #irsql.target<…>", module)
