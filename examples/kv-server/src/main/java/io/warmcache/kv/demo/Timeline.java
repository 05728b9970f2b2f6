/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv.demo;

import java.util.ArrayList;
import java.util.List;
import java.util.OptionalDouble;

/**
 * Cumulative counts of one life of the server, taken about ten times a second, and the rates between two moments of it.
 * Seconds count from the start of the process.
 */
final class Timeline {
    /** Rates that say when a restart has caught up are taken over so long. */
    private static final double RATE_SECONDS = 0.5;

    private final List<Sample> samples = new ArrayList<>();

    /**
     * @param seconds since the start of the process
     * @param requests answered to the load
     * @param hits of the page cache
     * @param misses of the page cache
     * @param diskReadBytes read from disk by the process
     */
    record Sample(double seconds, double requests, double hits, double misses, double diskReadBytes) {}

    /**
     * What happened between two moments.
     *
     * @param seconds the time between them
     * @param requests answered
     * @param requestsPerSecond of them
     * @param hitRatio hits as a share of hits and misses, 0 to 1; 0 if there were neither
     * @param diskReadBytesPerRequest 0 if there was no request
     */
    record Rates(
            double seconds,
            double requests,
            double requestsPerSecond,
            double hitRatio,
            double diskReadBytesPerRequest) {}

    void add(Sample sample) {
        samples.add(sample);
    }

    List<Sample> samples() {
        return List.copyOf(samples);
    }

    boolean isEmpty() {
        return samples.isEmpty();
    }

    double firstSecond() {
        return samples.getFirst().seconds;
    }

    double lastSecond() {
        return samples.getLast().seconds;
    }

    Rates between(double from, double to) {
        return rates(at(from), at(to));
    }

    /** From the first sample on until so many more requests were answered, or to the last sample. */
    Rates firstRequests(long count) {
        Sample first = samples.getFirst();
        double target = first.requests + count;
        Sample end = samples.getLast();
        for (int i = 1; i < samples.size(); i++) {
            Sample next = samples.get(i);
            if (next.requests >= target) {
                Sample before = samples.get(i - 1);
                end = mix(before, next, (target - before.requests) / (next.requests - before.requests));
                break;
            }
        }
        return rates(first, end);
    }

    /** Seconds from the start of the process until so many requests a second were first answered over half a second. */
    OptionalDouble timeToThroughput(double requestsPerSecond) {
        return timeTo(requestsPerSecond, 0);
    }

    /** Seconds from the start of the process until the hit ratio was first so high over half a second. */
    OptionalDouble timeToHitRatio(double hitRatio) {
        return timeTo(0, hitRatio);
    }

    private OptionalDouble timeTo(double requestsPerSecond, double hitRatio) {
        for (Sample end : samples) {
            if (end.seconds >= firstSecond() + RATE_SECONDS) {
                Rates rates = rates(at(end.seconds - RATE_SECONDS), end);
                if (rates.requestsPerSecond >= requestsPerSecond && rates.hitRatio >= hitRatio) {
                    return OptionalDouble.of(end.seconds);
                }
            }
        }
        return OptionalDouble.empty();
    }

    private Sample at(double seconds) {
        Sample before = samples.getFirst();
        for (Sample next : samples) {
            if (next.seconds >= seconds) {
                double span = next.seconds - before.seconds;
                return span <= 0 ? next : mix(before, next, (seconds - before.seconds) / span);
            }
            before = next;
        }
        return before;
    }

    private static Sample mix(Sample a, Sample b, double share) {
        double part = Math.clamp(share, 0, 1);
        return new Sample(
                a.seconds + part * (b.seconds - a.seconds),
                a.requests + part * (b.requests - a.requests),
                a.hits + part * (b.hits - a.hits),
                a.misses + part * (b.misses - a.misses),
                a.diskReadBytes + part * (b.diskReadBytes - a.diskReadBytes));
    }

    private static Rates rates(Sample a, Sample b) {
        double seconds = b.seconds - a.seconds;
        double requests = b.requests - a.requests;
        double hits = b.hits - a.hits;
        double accesses = hits + b.misses - a.misses;
        return new Rates(
                seconds,
                requests,
                seconds > 0 ? requests / seconds : 0,
                accesses > 0 ? hits / accesses : 0,
                requests > 0 ? (b.diskReadBytes - a.diskReadBytes) / requests : 0);
    }
}
