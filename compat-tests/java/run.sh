#!/bin/bash
# Apache Kafka's own Java client: 3.9.1, the last that speaks to brokers of 0.10 too, and 4.4.0.
set -euo pipefail
cd "$(dirname "$0")" && . ../harness/prepare.sh
for version in 3.9.1 4.4.0; do
    jars=$cache/$version
    once "$version" "kafka-clients $version" fetched flock "$MILENA_TEST_CACHE/maven.lock" mvn -q -B -f pom.xml -Dkafka.version=$version dependency:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$jars"
    timed "javac" javac -d "$cache/classes-$version" -cp "$jars/*" Check.java
    counted with_broker "$@" -- java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
        -Dorg.slf4j.simpleLogger.defaultLogLevel=error -cp "$cache/classes-$version:$jars/*" Check "$version"
done
finish
