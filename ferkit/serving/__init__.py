"""The model that is logged: its pyfunc, packaging, loading, predicting, and export to other formats."""
