"""The web form: a page for each model, of HTML, CSS and JavaScript in files here; `pages` hands them out."""
