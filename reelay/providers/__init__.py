"""Who generates. One module per provider; the registry is a dict."""
