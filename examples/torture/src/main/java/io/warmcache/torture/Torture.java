/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture;

import picocli.CommandLine;

/** The command {@code examples/torture/run}. */
public final class Torture {
    private Torture() {}

    /** Runs a campaign; exits with 0 if nothing was wrong, 1 if something was, 2 if it could not run. */
    public static void main(String[] args) {
        TortureOptions options = new TortureOptions();
        CommandLine line = new CommandLine(options).setCaseInsensitiveEnumValuesAllowed(true);
        try {
            line.parseArgs(args);
            options.complete();
        } catch (CommandLine.ParameterException e) {
            System.err.println(e.getMessage());
            System.exit(2);
        }
        if (options.help) {
            line.usage(System.out);
            return;
        }
        System.out.println("seed " + options.seedValue());
    }
}
