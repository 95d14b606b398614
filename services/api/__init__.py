"""The operator's HTTP API: configuration, money by hand, live calls, records, webhooks."""
