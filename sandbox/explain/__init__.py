"""Says what would happen to a call and which lines decide: ``explain(plan, call)``, rendered as text or JSON."""
