"""The only place that decides what the process is made of: logging now, live adapters as they come."""

import logging

import structlog


def configure_logs(level: int = logging.INFO) -> None:
    """Send events of `level` and above to standard error, one line of key=value each."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.KeyValueRenderer(key_order=["level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(),
        cache_logger_on_first_use=False,
    )


def quiet_logs() -> None:
    """Keep what services log out of a drill: thousands of events that its tables sum up."""
    configure_logs(logging.CRITICAL)
