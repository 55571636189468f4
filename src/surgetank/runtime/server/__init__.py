"""The server: one process that runs what a configuration names, behind tokens and an audit trail."""
