"""The image with Spark, which is built where it is asked for: a small job of PySpark in a pod like a server's."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator

import pytest

from tests.kubernetes.driver import kubectl
from tests.kubernetes.where import IMAGES, TAG
from tests.platform.driver import eventually

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(600)]

JOB = """
from pyspark.sql import SparkSession, functions as f
spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
spark.sparkContext.setLogLevel("ERROR")
numbers = spark.range(100_000).withColumn("rest", f.col("id") % 7)
total = numbers.groupBy("rest").agg(f.sum("id").alias("sum")).orderBy("rest").toPandas()
numbers.write.parquet("/tmp/numbers")
print(spark.version, int(total["sum"].sum()), spark.read.parquet("/tmp/numbers").count())
"""


@pytest.fixture
def namespace() -> Iterator[str]:
    name = f"spark-{secrets.token_hex(3)}"
    kubectl("create", "namespace", name)
    kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


def test_a_job_of_pyspark_runs_in_a_pod_like_a_servers(namespace: str) -> None:
    container = {
        "name": "notebook",
        "image": f"{IMAGES}/spark:{TAG}",
        "imagePullPolicy": "Always",
        "command": ["/opt/environment/bin/python", "-c", JOB],
        "resources": {"limits": {"memory": "1Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "spark", "namespace": namespace},
        "spec": {"restartPolicy": "Never", "containers": [container]},
    }
    kubectl("apply", "-f", "-", given=json.dumps(pod).encode())
    phase = ("get", "pod", "spark", "-n", namespace, "-o", "jsonpath={.status.phase}")
    eventually(lambda: kubectl(*phase), lambda one: one in ("Succeeded", "Failed"), 300)
    said = kubectl("logs", "spark", "-n", namespace)
    assert "4999950000 100000" in said
