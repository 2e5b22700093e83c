"""What every route shares: the wire's shapes, problems, middleware, languages, pages, repetitions."""
