"""Pages for what went wrong. None of them asks the database: it may be the very thing that failed."""

from __future__ import annotations

from flask import Flask, current_app, g, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm.exc import ObjectDeletedError
from werkzeug.exceptions import HTTPException, InternalServerError, TooManyRequests

from notejam import identity, replicas
from notejam.db import db
from notejam.engine import is_unavailable
from notejam.hosts import HostRefusedError
from notejam.logs import reason_of
from notejam.metrics import metrics
from notejam.security import SAFE_METHODS, CSRFError

RETRY_AFTER_SECONDS = 5
STATEMENT_TIMED_OUT = "57014"

TEXTS = {
    400: ("Bad request", "The address or the form could not be understood."),
    403: ("Not allowed", "This is not for you to do. Nothing was changed."),
    404: ("Page not found", "There is no such page, or it is not yours."),
    405: ("Not possible here", "This page cannot be used that way."),
    413: ("Too much at once", "What was sent is too large. A note holds up to 1 MiB of text."),
    429: ("Too many attempts", "That was tried too often. Please try again in {wait}."),
    500: ("Something went wrong", "The fault is ours and has been recorded. Please try again later."),
    503: (
        "Back in a moment",
        "Notejam cannot reach its database just now. Please try again in a few seconds.",
    ),
}
FORM_EXPIRED_TEXT = (
    "The form did not carry a valid token: it was open in a browser that has signed in or out since, or one "
    "whose cookies are off. Nothing was changed. Go back, reload the page, and send the form again."
)
HOST_REFUSED = ("Bad request", "Notejam does not answer under this name. Please check the address.")
FORM_EXPIRED = ("Please send the form again", FORM_EXPIRED_TEXT)


def error_page(code: int, texts: tuple[str, str] | None = None) -> tuple[str, int]:
    """Make the page for a status."""
    title, message = texts or TEXTS.get(code) or TEXTS[400 if code < InternalServerError.code else 500]
    return render_template("error.html", title=title, message=message), code


def handle_http(error: HTTPException) -> ResponseReturnValue:
    """Answer in the app's own words; keep what belongs to the status, such as Allow."""
    response = error.get_response()
    response.data, response.status_code = error_page(error.code or InternalServerError.code)
    return response


def handle_host(_: HostRefusedError) -> ResponseReturnValue:
    """Tell whoever runs the app, too, why nothing works."""
    return error_page(400, HOST_REFUSED)


def handle_too_many(error: TooManyRequests) -> ResponseReturnValue:
    """Say when to try again, to people and to programs."""
    seconds = error.retry_after if isinstance(error.retry_after, int) else RETRY_AFTER_SECONDS
    title, message = TEXTS[429]
    body, code = error_page(429, (title, message.format(wait=describe_wait(seconds))))
    return body, code, {"Retry-After": str(seconds)}


def describe_wait(seconds: int) -> str:
    """Say a wait in words, rounded up."""
    minutes = -(-seconds // 60)
    return "a minute" if minutes <= 1 else f"{minutes} minutes"


def handle_deleted(_: ObjectDeletedError) -> ResponseReturnValue:
    """Answer for what was deleted while the page was made, by the same person elsewhere."""
    return error_page(404)


def handle_csrf(_: CSRFError) -> ResponseReturnValue:
    """Explain a missing or wrong token."""
    return error_page(400, FORM_EXPIRED)


def handle_database(error: SQLAlchemyError) -> ResponseReturnValue:
    """Tell "try again" from a fault: during a failover the database is away for seconds."""
    if not is_unavailable(error):
        raise error
    if _is_worth_asking_again(error):
        return _ask_again()
    # No traceback: in an outage every request is told so.
    current_app.logger.warning("the database is unavailable: %s", reason_of(error))
    metrics().unavailable.inc()
    body, code = error_page(503)
    return body, code, {"Retry-After": str(RETRY_AFTER_SECONDS)}


def _is_worth_asking_again(error: SQLAlchemyError) -> bool:
    """Whether the connection broke under a page that only shows something.

    A failed attempt to connect has waited long enough already, and a query that timed out would do so again.
    """
    return (
        request.method in SAFE_METHODS
        and "asked_again" not in g
        and isinstance(error, DBAPIError)
        and error.statement is not None
        and getattr(error.orig, "sqlstate", None) != STATEMENT_TIMED_OUT
    )


def _ask_again() -> ResponseReturnValue:
    """Make the page anew, on a new connection to the primary."""
    g.asked_again = True
    db.forget()
    replicas.forget()
    identity.forget()
    try:
        answer = current_app.preprocess_request()
        return current_app.dispatch_request() if answer is None else answer
    except Exception as again:  # noqa: BLE001 - Flask's own handling of whatever a page raises
        return current_app.handle_user_exception(again)


def init_app(app: Flask) -> None:
    """Put the pages in place."""
    app.register_error_handler(HTTPException, handle_http)
    app.register_error_handler(CSRFError, handle_csrf)
    app.register_error_handler(HostRefusedError, handle_host)
    app.register_error_handler(TooManyRequests, handle_too_many)
    app.register_error_handler(ObjectDeletedError, handle_deleted)
    app.register_error_handler(SQLAlchemyError, handle_database)
