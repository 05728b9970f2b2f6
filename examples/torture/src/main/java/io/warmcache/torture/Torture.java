/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture;

import java.io.IOException;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;

/** The command {@code examples/torture/run}. */
public final class Torture {
    private Torture() {}

    /** Runs a campaign; exits with 0 if nothing was wrong, 1 if something was, 2 if it could not run. */
    public static void main(String[] args) {
        System.exit(run(args));
    }

    private static int run(String[] args) {
        TortureOptions options = new TortureOptions();
        CommandLine line = new CommandLine(options).setCaseInsensitiveEnumValuesAllowed(true);
        try {
            line.parseArgs(args);
            options.complete();
        } catch (CommandLine.ParameterException e) {
            System.err.println("torture: " + e.getMessage() + " (--help lists the options)");
            return 2;
        }
        if (options.help) {
            line.usage(System.out);
            return 0;
        }
        System.out.println("seed " + options.seedValue() + ", results in " + options.out);
        try {
            Campaign campaign = new Campaign(options);
            @Nullable String failure = campaign.run();
            System.out.println(campaign.summary());
            campaign.sums().skipped
                    .forEach((what, times) -> System.out.println("skipped " + times + " times: " + what));
            if (failure != null) {
                System.err.println("torture: " + failure);
                return 1;
            }
            return 0;
        } catch (IOException e) {
            System.err.println("torture: " + e.getMessage());
            return 2;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return 2;
        }
    }
}
