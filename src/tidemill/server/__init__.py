"""What people look at: the page of a run today; the control plane's API and pages stand here too.

In: the record in the store; out: HTML.
"""
