/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture.soak;

import java.io.IOException;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** What the command line asks for. */
@Command(
        name = "soak",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        exitCodeOnExecutionException = 2,
        description = {
            "Keeps a cache under load in a child JVM and restarts it every 30 s, by kill -9 and in order by turns."
                    + " Every page is compared with its file after each restart, and with what was written at each"
                    + " read. Throughput, resident frames, memory, descriptors, threads and shared memory are"
                    + " sampled; what grows fails the run. Writes soak.json and soak.svg."
        },
        exitCodeListHeading = "%nExit codes:%n",
        exitCodeList = {"0:all flat and nothing wrong", "1:not so", "2:wrong arguments, or it could not run"})
final class SoakOptions implements Callable<Integer> {
    /** What keeps the memory. */
    enum Backend {
        SHM,
        XEN
    }

    @Spec
    @Nullable CommandSpec spec;

    @Option(names = "--minutes", paramLabel = "N", description = "How long (default: ${DEFAULT-VALUE}).")
    double minutes = 60;

    @Option(
            names = "--every",
            paramLabel = "SECONDS",
            description = "How long each life lasts under load (default: ${DEFAULT-VALUE}).")
    double every = 30;

    @Option(
            names = "--backend",
            paramLabel = "NAME",
            description = "What keeps the memory: ${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}).")
    Backend backend = Backend.SHM;

    @Option(
            names = "--capacity-mib",
            paramLabel = "N",
            description = "Of the cache; its files are half as large again (default: ${DEFAULT-VALUE}).")
    int capacityMib = 64;

    @Option(
            names = "--rate",
            paramLabel = "N",
            description = "At most so many operations a second; 0 for as many as there can be (default:"
                    + " ${DEFAULT-VALUE}).")
    int rate;

    @Option(names = "--seed", paramLabel = "N", description = "Of every random choice; printed (default: random).")
    @Nullable Long seed;

    @Option(
            names = "--out",
            paramLabel = "DIR",
            defaultValue = "${sys:warmcache.torture.out:-warmcache-torture}",
            description = "Where soak.json, soak.svg, and the files of the cache while it runs, go (default:"
                    + " ${DEFAULT-VALUE}).")
    Path out = Path.of("");

    long seedValue() {
        Long given = seed;
        if (given == null) {
            given = (long) new SecureRandom().nextInt(Integer.MAX_VALUE);
            seed = given;
        }
        return given;
    }

    @Override
    public Integer call() throws IOException {
        require(minutes > 0, "--minutes must be more than 0");
        require(every >= 0.5, "--every must be 0.5 seconds or more");
        require(capacityMib >= 1 && capacityMib <= 16_384, "--capacity-mib must be from 1 to 16384");
        require(rate >= 0, "--rate must be 0 or more");
        return Soak.run(this).good() ? 0 : 1;
    }

    private void require(boolean good, String rule) {
        if (!good && spec != null) {
            throw new ParameterException(spec.commandLine(), rule);
        }
    }
}
