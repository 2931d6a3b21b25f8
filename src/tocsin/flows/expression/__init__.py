"""Expressions as flows use them: `{{ outputs.load.rows | numberFormat('#,###') }}`.

A subset of Pebble, evaluated over plain data by an interpreter of our own: no attribute of any Python object is ever
looked up, and steps, depth and size are bounded.
"""

from tocsin.flows.expression.evaluator import Scope, evaluate, render
from tocsin.flows.expression.values import ExpressionError, Missing, Value

__all__ = ["ExpressionError", "Missing", "Scope", "Value", "evaluate", "render"]
