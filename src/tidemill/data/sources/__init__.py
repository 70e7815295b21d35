"""Where data comes from: a declared source or a URI comes in; pinned files and a lazy Polars table go out."""
