"""What compat-tests share: brokers to test against, a faulty network, and counting.

    brokers   start, kill, pause, restart and stop a broker: ours, or Apache Kafka to check the test
    proxy     a TCP proxy that delays, cuts, stalls and splits
    checks    `ok` and `FAILED` lines, and "N passed, N failed" at the end
    kafka     the jars of an Apache Kafka release, and its command-line tools

Only the standard library of Python 3.11 is used.
"""
