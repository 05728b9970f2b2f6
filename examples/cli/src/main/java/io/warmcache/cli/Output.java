/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.cli;

import java.io.PrintWriter;
import java.util.Locale;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/** Where a command prints, and how. */
final class Output {
    @Option(names = "--json", description = "Print one JSON document in place of text.")
    boolean json;

    @Spec(Spec.Target.MIXEE)
    @Nullable CommandSpec command;

    PrintWriter out() {
        return Objects.requireNonNull(command, "set by picocli").commandLine().getOut();
    }

    /** Prints a record or list as JSON. */
    void json(Object value) {
        JsonMapper mapper =
                JsonMapper.builder().enable(SerializationFeature.INDENT_OUTPUT).build();
        out().println(mapper.writeValueAsString(value));
    }

    @SuppressWarnings("AnnotateFormatMethod") // its annotation is in a library that nothing else here needs
    void line(String format, Object... arguments) {
        out().println(String.format(Locale.ROOT, format, arguments));
    }

    static String size(long bytes) {
        String[] units = {"B", "KiB", "MiB", "GiB", "TiB"};
        double value = bytes;
        int unit = 0;
        while (value >= 1024 && unit < units.length - 1) {
            value /= 1024;
            unit++;
        }
        return String.format(Locale.ROOT, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    }
}
