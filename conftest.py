"""Doctests of modules whose library is not installed are left out; `make test-services` installs and runs them."""

from importlib.util import find_spec

#: Library -> modules of `tidemill.integrations` that import it.
OPTIONAL = {"catboost": "catboost*.py", "keras": "keras*.py", "torch": "torch*.py", "pyspark": "spark*.py"}
OPTIONAL |= {"redis": "redis*.py", "river": "river*.py", "shap": "shap*.py", "xgboost": "xgboost*.py"}

collect_ignore_glob = [
    f"src/tidemill/integrations/{modules}" for library, modules in OPTIONAL.items() if find_spec(library) is None
]
