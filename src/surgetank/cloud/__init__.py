"""The stand-in cloud: services with finite, collapsible capacity, answering as the real ones do."""
