"""What a client is told when its request is not answered, in the OpenAI form."""

from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from trainer.errors import AdapterUnusable, BadInput, TrainerError
from trainer.serving.answers import describe_error
from trainer.serving.host import UnknownModel

EXPLAINED = (UnknownModel, TrainerError, HTTPException, TimeoutError, ClientDisconnect, Exception)

Explanation = tuple[int, dict[str, Any]]


def explain(error: Exception, path: str) -> Explanation:
    """Find the status and the words for what went wrong on this path; of an unforeseen error only the log tells."""
    match error:
        case UnknownModel() | TrainerError():
            return _explain_trainer_error(error)
        case HTTPException():
            return _explain_http_error(error, path)
        case TimeoutError() | ClientDisconnect():
            return HTTPStatus.REQUEST_TIMEOUT, describe_error("the body did not come")
    return HTTPStatus.INTERNAL_SERVER_ERROR, describe_error("this request failed; the server's log says why")


def _explain_trainer_error(error: UnknownModel | TrainerError) -> Explanation:
    match error:
        case UnknownModel():
            message = f"the model {error} does not exist; GET /v1/models lists those that do"
            return HTTPStatus.NOT_FOUND, describe_error(message, param="model", code="model_not_found")
        case BadInput():
            return HTTPStatus.BAD_REQUEST, describe_error(str(error), param=error.field)
        case AdapterUnusable():
            return HTTPStatus.BAD_REQUEST, describe_error(str(error), param="model", code="adapter_unusable")
    return HTTPStatus.INTERNAL_SERVER_ERROR, describe_error(str(error))


def _explain_http_error(error: HTTPException, path: str) -> Explanation:
    if error.status_code in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}:
        return HTTPStatus.NOT_FOUND, describe_error(f"there is no {path}")
    return error.status_code, describe_error(error.detail)
