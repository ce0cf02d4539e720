"""How good a result is: metrics, their confidence intervals, and tables of cases."""
