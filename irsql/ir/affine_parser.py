"""Reads affine maps, as printed and as written by hand."""

from __future__ import annotations

import re

from irsql.ir.affine import AffineExpr, AffineMap, BinExpr, ConstExpr, DimExpr, SymExpr, used_dims
from irsql.ir.lexer import MAX_DEPTH, Lexer
from irsql.ir.registry import near_miss

_MAP = re.compile(r"<[^<>]*->[^<>]*>")


class AffineParser(Lexer):
    """Reads affine maps from a text; see :class:`~irsql.ir.lexer.Lexer` for its parameters."""

    def __init__(self, text: str, filename: str) -> None:
        super().__init__(text, filename)
        self._map_cache: dict[str, AffineMap] = {}

    def affine_map(self) -> AffineMap:
        """Read ``<(dims)[symbols] -> (results)>``; equal texts are read once."""
        match = _MAP.match(self.text, self.pos)
        if match is None:
            return self._affine_map()
        if match[0] not in self._map_cache:
            map_ = self._affine_map()
            if self.pos != match.end():
                return map_
            self._map_cache[match[0]] = map_
        self.seek(match.end())
        return self._map_cache[match[0]]

    def _affine_map(self) -> AffineMap:
        self.expect("<", "to open an affine map")
        self.expect("(", "to open the dims of an affine map")
        names = self._names(")")
        symbols = self._names("]") if self.accept("[") else []
        scope: dict[str, AffineExpr] = {n: SymExpr(n) for n in symbols}
        scope.update((n, DimExpr(i)) for i, n in enumerate(names))
        if len(scope) != len(names) + len(symbols):
            self.fail("a dim or symbol is declared twice in this affine map")
        self.expect("->", "in an affine map")
        self.expect("(", "to open the results of an affine map")
        results: list[AffineExpr] = []
        while not self.accept(")"):
            if results:
                self.expect(",", "or ')' in an affine map")
            results.append(self._affine_sum(scope))
        self.expect(">", "to close an affine map")
        return AffineMap(len(names), tuple(results))

    def _names(self, close: str) -> list[str]:
        names: list[str] = []
        while not self.accept(close):
            if names:
                self.expect(",", f"or '{close}' in the head of an affine map")
            names.append(self.expect_kind("ident", "a name").text)
        return names

    def _affine_sum(self, scope: dict[str, AffineExpr]) -> AffineExpr:
        self.enter()
        expr = self._affine_product(scope)
        terms = 0
        while True:
            token = self.peek()
            if self.accept("+"):
                expr = BinExpr("+", expr, self._affine_product(scope))
            elif self.accept("-"):
                expr = BinExpr("+", expr, self._negate(self._affine_product(scope)))
            elif token.kind == "int" and token.text.startswith("-"):
                expr = BinExpr("+", expr, self._affine_product(scope))
            else:
                break
            terms += 1
            if terms > MAX_DEPTH:
                self.fail(f"a sum of more than {MAX_DEPTH} terms", token)
        self.leave()
        return expr

    def _negate(self, expr: AffineExpr) -> AffineExpr:
        return ConstExpr(-expr.value) if isinstance(expr, ConstExpr) else BinExpr("*", expr, ConstExpr(-1))

    def _affine_product(self, scope: dict[str, AffineExpr]) -> AffineExpr:
        expr = self._affine_factor(scope)
        factors = 0
        while (token := self.peek()).text in ("*", "floordiv", "mod", "ceildiv"):
            self.next()
            right = self._affine_factor(scope)
            if token.text == "*":
                if used_dims(right):
                    expr, right = right, expr
                if used_dims(right):
                    self.fail("a product of two dims is not affine", token)
            elif token.text == "ceildiv":
                self.fail("ceildiv is not supported", token, "a ceildiv b is (a + b - 1) floordiv b")
            elif not isinstance(right, ConstExpr) or right.value < 1:
                self.fail(f"the right side of {token.text} must be a positive constant", token)
            expr = BinExpr(token.text, expr, right)
            factors += 1
            if factors > MAX_DEPTH:
                self.fail(f"a product of more than {MAX_DEPTH} factors", token)
        return expr

    def _affine_factor(self, scope: dict[str, AffineExpr]) -> AffineExpr:
        token = self.next()
        if token.kind == "int":
            return ConstExpr(self.integer(token))
        if token.kind == "ident" and token.text in scope:
            return scope[token.text]
        if token.text == "(" and token.kind == "punct":
            expr = self._affine_sum(scope)
            self.expect(")", "in an affine expression")
            return expr
        if token.text == "-" and token.kind == "punct":
            self.enter()
            expr = self._negate(self._affine_factor(scope))
            self.leave()
            return expr
        self.fail(f"expected a dim, a symbol or a number, found {token.text!r}", token, near_miss(token.text, scope))
