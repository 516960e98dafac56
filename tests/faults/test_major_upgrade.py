"""From PostgreSQL 16 to 17, as the page says: its commands run as they stand there."""

from __future__ import annotations

import importlib.util
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local.images import APP
from tests.faults.database import ROOT, Database, FaultError, wait_until
from tests.faults.images import find_image, push_upon
from tests.namespaces import have_namespace, write_kubeconfig
from tests.pages import fetch_block

PAGE = ROOT / "docs" / "postgres-major-upgrade.md"
SOURCE = Path(__file__).with_name("postgres16")
FILES = ("Dockerfile", "run.sh")
SMALL = (
    "--set resources.requests.cpu=50m --set resources.requests.memory=128Mi "
    "--set resources.limits.memory=256Mi --set storage.size=1Gi --set members=1"
)


@pytest.fixture
def namespace(context: str) -> Iterator[str]:
    with have_namespace(context, f"faults-{secrets.token_hex(3)}") as name:
        yield name


@pytest.fixture(scope="module")
def sixteen(image: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Build a PostgreSQL 16 from its Python package's programs; return its name in the registry."""
    found = importlib.util.find_spec("pgserver")
    assert found is not None
    assert found.origin is not None
    folder = tmp_path_factory.mktemp("postgres16")
    package = Path(found.origin).parent
    shutil.copytree(package / "pginstall", folder / "pginstall")
    shutil.copytree(package.with_name("pgserver.libs"), folder / "libs")
    for name in FILES:
        shutil.copy(SOURCE / name, folder / name)
    return push_upon(image, folder, f"{image.partition('@')[0]}-16:test")


@pytest.fixture
def play(context: str, image: str, namespace: str, tmp_path: Path) -> Callable[[str], str]:
    """Return what runs a block of the page, in this namespace and with this checkout's images."""
    kubeconfig = write_kubeconfig(context, tmp_path / "kubeconfig")
    images = {"postgres-ha": image.partition("@"), "notejam": find_image(APP).partition("@")}
    more = {"postgres-ha": SMALL, "notejam": "--set replicas=1"}

    def work(script: str) -> str:
        for chart, (repository, _, digest) in images.items():
            words = f"--set image.repository={repository} --set image.digest={digest} {more[chart]}"
            script = re.sub(rf"(charts/{chart})\b", rf"\1 {words}", script)
        script = script.replace("--namespace notes", f"--namespace {namespace}")
        done = subprocess.run(
            ["bash", "-euc", script], cwd=ROOT, capture_output=True, text=True, timeout=600, check=False,
            env={**os.environ, "KUBECONFIG": str(kubeconfig), "registry": image.rpartition("/")[0]},
        )  # fmt: skip
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    return work


def psql(database: Database, pod: str, query: str) -> str:
    words = ("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", "notejam", "-c", query)
    return database.kubectl("exec", pod, "-c", "postgres", "--", *words).strip()


def write(play: Callable[[str], str], email: str) -> None:
    """Make an account, through the app."""
    play(
        f"echo 'secret password 1' | kubectl --namespace notes exec -i deployment/notejam -- "
        f"flask --app notejam notejam create-user {email}"
    )


def test_from_16_to_17_with_a_way_back(
    context: str, namespace: str, image: str, sixteen: str, play: Callable[[str], str]
) -> None:
    database = Database(context, namespace, image)
    play(f"helm install notes16 {SOURCE} --namespace notes --set image={sixteen} --wait --timeout 3m")
    play(
        "helm install notejam charts/notejam --namespace notes --set database.secretName=notes16-app"
        " --wait --timeout 5m"
    )
    write(play, "one@example.com")
    assert psql(database, "notes16-0", "SHOW server_version").startswith("16")

    said = play(fetch_block(PAGE, "rehearse"))
    assert "writes went on meanwhile" in said
    write(play, "two@example.com")

    said = play(fetch_block(PAGE, "copy"))
    assert "PostgreSQL 16" in said
    assert re.search(r"copied \d+ tables with \d+ rows", said), said
    users = "SELECT string_agg(email, ' ' ORDER BY email) FROM users"
    assert psql(database, "notes17-0", users) == "one@example.com two@example.com"
    with pytest.raises(FaultError, match="read-only transaction"):
        psql(database, "notes16-0", "CREATE TABLE late (a int)")

    play(fetch_block(PAGE, "move"))
    play("kubectl --namespace notes rollout status deployment/notejam --timeout=3m")
    write(play, "three@example.com")
    assert "three@example.com" in psql(database, "notes17-0", users)

    play(fetch_block(PAGE, "back"))
    play("kubectl --namespace notes rollout status deployment/notejam --timeout=3m")
    write(play, "four@example.com")
    assert psql(database, "notes16-0", users) == "four@example.com one@example.com two@example.com"

    # An upgrade with the values as they are copies nothing again.
    said = play(
        "helm upgrade notes17 charts/postgres-ha --namespace notes --reuse-values\n"
        "kubectl --namespace notes logs job/notes17-import"
    )
    assert "nothing to do" in said
    assert "four@example.com" not in psql(database, "notes17-0", users)
    play(fetch_block(PAGE, "stay"))
    wait_until("the old one is gone", lambda: "notes16" not in database.kubectl("get", "pods", "-o", "name"))
    assert psql(database, "notes17-0", "SELECT count(*) FROM users") == "3"


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        ("CREATE EXTENSION vector", "add vector to database.extensions"),
        ("ALTER DATABASE notejam OWNER TO postgres", "does not own the database"),
    ],
)
def test_what_cannot_be_copied_is_refused_and_the_source_goes_on(
    context: str,
    namespace: str,
    image: str,
    sixteen: str,
    play: Callable[[str], str],
    prepare: str,
    said: str,
) -> None:
    database = Database(context, namespace, image)
    play(f"helm install notes16 {SOURCE} --namespace notes --set image={sixteen} --wait --timeout 3m")
    psql(database, "notes16-0", prepare)
    with pytest.raises(AssertionError, match=r"notes17-import|post-install"):
        play(fetch_block(PAGE, "copy"))
    assert said in database.kubectl("logs", "job/notes17-import")
    assert psql(database, "notes16-0", "CREATE TABLE goes_on (a int)") == ""
