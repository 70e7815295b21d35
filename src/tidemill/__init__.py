"""Tidemill runs the whole life of a machine-learning model in one package.

Public names are loaded when they are first used, so that ``import tidemill`` costs nothing.
"""

__version__ = "0.1.0"
