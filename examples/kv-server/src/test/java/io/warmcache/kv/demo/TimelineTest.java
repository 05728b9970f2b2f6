/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv.demo;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.OptionalDouble;
import org.junit.jupiter.api.Test;

class TimelineTest {
    @Test
    void tellsTheRatesBetweenTwoMomentsBetweenSamples() {
        Timeline timeline = new Timeline();
        timeline.add(new Timeline.Sample(1.0, 0, 0, 0, 1000));
        timeline.add(new Timeline.Sample(3.0, 2000, 1800, 200, 5000));
        Timeline.Rates rates = timeline.between(1.0, 2.0);
        assertEquals(1000, rates.requests(), 1e-9);
        assertEquals(1000, rates.requestsPerSecond(), 1e-9);
        assertEquals(0.9, rates.hitRatio(), 1e-9);
        assertEquals(2, rates.diskReadBytesPerRequest(), 1e-9);
    }

    @Test
    void tellsTheRatesOfTheFirstRequests() {
        Timeline timeline = new Timeline();
        timeline.add(new Timeline.Sample(2.0, 100, 50, 50, 0));
        timeline.add(new Timeline.Sample(2.1, 150, 60, 60, 400));
        timeline.add(new Timeline.Sample(2.2, 250, 160, 60, 800));
        Timeline.Rates rates = timeline.firstRequests(100);
        assertEquals(100, rates.requests(), 1e-9);
        assertEquals(0.15, rates.seconds(), 1e-9);
        assertEquals(60.0 / 70, rates.hitRatio(), 1e-9);
        assertEquals(6, rates.diskReadBytesPerRequest(), 1e-9);
        assertEquals(150, timeline.firstRequests(10_000).requests(), 1e-9);
    }

    @Test
    void tellsWhenARateWasReachedForHalfASecond() {
        Timeline timeline = new Timeline();
        for (int i = 0; i <= 40; i++) {
            double seconds = 0.5 + i * 0.1;
            // 100 requests a second during the first two seconds, then 1000; hits from the third on
            double fast = Math.max(0, i - 20);
            double requests = 10 * Math.min(i, 20) + 100 * fast;
            timeline.add(new Timeline.Sample(seconds, requests, 10 * Math.max(0, i - 30), i, 0));
        }
        assertEquals(3.0, timeline.timeToThroughput(950).orElseThrow(), 0.11);
        assertEquals(4.0, timeline.timeToHitRatio(0.9).orElseThrow(), 0.11);
        assertEquals(OptionalDouble.empty(), timeline.timeToThroughput(2000));
        assertEquals(1.0, timeline.timeToThroughput(50).orElseThrow(), 0.11);
    }

    @Test
    void hasNoRatesWhereNothingHappened() {
        Timeline timeline = new Timeline();
        timeline.add(new Timeline.Sample(1, 5, 5, 5, 5));
        Timeline.Rates rates = timeline.between(1, 2);
        assertEquals(0, rates.requestsPerSecond());
        assertEquals(0, rates.hitRatio());
        assertEquals(0, rates.diskReadBytesPerRequest());
        assertTrue(timeline.timeToThroughput(1).isEmpty());
    }
}
