"""Everything optional, one module per system: a stage's protocol comes in, the system's own client does the work.

Nothing imports these modules directly: a stage finds them by name in its own static table (a scheme, a format), and a
package that is not installed is one uniform error that names the extra. Sources of data: `duckdb`, `excel`, `rest`,
`spark`, `sql`, `zstandard`. Enrichment: `api_lookup`, `similarity`.
"""
