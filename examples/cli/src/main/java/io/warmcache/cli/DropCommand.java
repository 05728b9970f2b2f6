/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.cli;

import io.warmcache.PageCache;
import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
        name = "drop",
        mixinStandardHelpOptions = true,
        description = {
            "Wipes and removes the memory of a cache that is not in use: its next start is cold.",
            "What is in the files it cached is not touched."
        },
        exitCodeListHeading = "%nExit codes:%n",
        exitCodeList = {
            "0:removed",
            "1:there was no such cache",
            "2:wrong arguments",
            "3:could not be removed",
            "4:the cache is in use"
        })
final class DropCommand implements Callable<Integer> {
    @Parameters(paramLabel = "CACHE", description = "Its name, or the absolute path of its memory.")
    String cache = "";

    @Option(
            names = "--wait",
            paramLabel = "SECONDS",
            defaultValue = "1",
            description = "How long to wait for an owner that is just going away (default: ${DEFAULT-VALUE}).")
    int waitSeconds;

    @Mixin
    Where where = new Where();

    @Mixin
    Output output = new Output();

    /** As JSON. */
    record Result(String cache, boolean removed) {}

    @Override
    public Integer call() throws IOException {
        boolean removed = PageCache.drop(where.config(cache)
                .withOwnerWait(Duration.ofMillis(Math.max(1, 1000L * waitSeconds))));
        if (output.json) {
            output.json(new Result(cache, removed));
        } else {
            output.line(removed ? "removed %s" : "there is no cache %s", cache);
        }
        return removed ? Warmcache.OK : Warmcache.WRONG;
    }
}
