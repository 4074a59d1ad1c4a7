"""Reaches a Kubeflow Pipelines backend: address, login, and one sentence for all that can go wrong with a question."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kfp
import kfp_server_api
import urllib3
from kfp.client import KF_PIPELINES_SA_TOKEN_ENV, KF_PIPELINES_SA_TOKEN_PATH, ServiceAccountTokenVolumeCredentials

from ferkit.errors import UserError

UNREACHABLE = (urllib3.exceptions.HTTPError, OSError)


class Unreachable(UserError):
    """Nothing answers, or what answers is ill; it may be well again."""


@dataclass(frozen=True)
class Login:
    """How to reach a backend, and who asks.

    Attributes:
        host: address of the Kubeflow Pipelines API; empty inside the cluster, or for kubectl's current context.
        namespace: of the experiment and its runs, on a multi-user Kubeflow; empty on a single-user one.
        token: bearer token; empty for the service account's, mounted in a pod, or for none.
        cookies: of a browser's session, such as Dex sets: `oauth2_proxy_kubeflow=…`.
        authorities: PEM file of certificate authorities; empty for the system's.
    """

    host: str = ""
    namespace: str = ""
    token: str = ""
    cookies: str = ""
    authorities: str = ""


class Client(kfp.Client):
    """kfp's client, which asks for the backend's health once, and leaves no file in the user's home."""

    def get_kfp_healthz(self, sleep_duration: int = 5) -> Any:
        """Once: kfp's own takes 20 seconds to say that nothing answers, hides why, and takes a login page for health.

        Raises:
            ValueError: the answer is not JSON, or not an object.
        """
        answer: Any = self._healthz_api.healthz_service_get_healthz(_preload_content=False)
        said = dict(json.loads(answer.data))
        return kfp_server_api.V2beta1GetHealthzResponse(multi_user=said.get("multi_user", False))

    def set_user_namespace(self, namespace: str) -> None:
        """For this client alone: kfp's own writes it to a file, for all later ones."""
        self._context_setting["namespace"] = namespace


def connect(login: Login) -> Any:
    """kfp's client for a login; typed as Any, since what the generated client answers has no types worth the name.

    Raises:
        UserError: no address is configured, and none is found.
    """
    mounted = Path(os.environ.get(KF_PIPELINES_SA_TOKEN_ENV, KF_PIPELINES_SA_TOKEN_PATH))
    in_pod = login.host and not (login.token or login.cookies) and mounted.exists()
    with quiet():
        client: Any = Client(
            host=login.host or None,
            existing_token=login.token or None,
            cookies=login.cookies or None,
            ssl_ca_cert=login.authorities or None,
            credentials=ServiceAccountTokenVolumeCredentials(str(mounted)) if in_pod else None,
        )
    if api_client_of(client).configuration.host in ("", "http://localhost") and not login.host:
        raise UserError(
            "no Kubeflow: this is no pod of a cluster, and kubectl has no context; use --host, such as "
            "a forwarded port: kubectl port-forward -n kubeflow svc/ml-pipeline-ui 8080:80"
        )
    return client


def api_client_of(client: Any) -> Any:
    """What kfp's client asks with: the only way to the parts of the API that it does not wrap."""
    return client._run_api.api_client


@contextlib.contextmanager
def asking(host: str) -> Iterator[None]:
    """Turns what can go wrong with a question to `host` into one sentence.

    Raises:
        Unreachable: nothing answers, or only a gateway does.
        UserError: we are not let in, it refuses, or it is no Kubeflow Pipelines API.
    """
    try:
        with quiet():
            yield
    except kfp_server_api.ApiException as error:
        raise _sentence(host, error) from None
    except UNREACHABLE as error:
        reason = getattr(error, "reason", error)
        raise Unreachable(f"{host}: does not answer ({shorten(str(reason))}); check --host and the network") from None
    except (ValueError, TypeError, AttributeError) as error:
        # A login page, or some other server, answers 200 with something that the client cannot read.
        raise UserError(
            f"{host}: answers, but not as a Kubeflow Pipelines API ({shorten(str(error))}); "
            "check --host, and log in with --token-file or --cookies-file if it shows a login page"
        ) from None


def _sentence(host: str, error: kfp_server_api.ApiException) -> UserError:
    said = shorten(refusal(error))
    if error.status == 401:
        return UserError(
            f"{host}: we are not let in ({said}); use a token that has not expired with --token-file or "
            "KFP_TOKEN, or a session's cookies with --cookies-file"
        )
    if error.status == 403:
        return UserError(
            f"{host}: not allowed ({said}); ask for the rights that docs/kubeflow.md lists, or use another --namespace"
        )
    if error.status == 404:
        return UserError(
            f"{host}: no such thing there ({said}); check --host, its path, and that it is Kubeflow Pipelines 2.17 or "
            "later"
        )
    if error.status in (502, 503, 504):
        return Unreachable(f"{host}: its gateway answers {error.status}, the API behind it does not; try again")
    kind = Unreachable if (error.status or 0) >= 500 else UserError
    return kind(f"{host}: refused with status {error.status}: {said}")


def refusal(error: kfp_server_api.ApiException) -> str:
    """What the backend says for people, out of the JSON that it answers with.

    The API server puts what it was doing, a call in each other, and often a stack in brackets before the reason:
    `Failed to create a run: …: [stack …]: Invalid input error: …`. The reason stands after the last `error: `.
    """
    try:
        answer = json.loads(error.body or "")
        said = answer.get("error_message") or answer.get("message") or answer.get("error") or str(error.reason)
    except (TypeError, ValueError, AttributeError):
        return str(error.reason)
    return said.rpartition("error: ")[2].strip() or said


def shorten(text: str, longest: int = 200) -> str:
    """The text on one line, cut where it is longer than `longest` characters."""
    text = " ".join(text.split())
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the links that kfp's client prints, its warnings about itself, and urllib3's of every further try."""
    disabled = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
