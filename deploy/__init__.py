"""How the switch is run: on one machine, or on Kubernetes."""
