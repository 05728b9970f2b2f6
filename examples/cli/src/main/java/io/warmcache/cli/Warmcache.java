/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.cli;

import io.warmcache.BusyException;
import io.warmcache.CacheException;
import java.io.IOException;
import picocli.CommandLine;
import picocli.CommandLine.Command;

/** The command as a program; {@code --help} tells its subcommands, and each of them its options and exit codes. */
@Command(
        name = "warmcache",
        description = {
            "Looks at page caches in shared memory or an xen-simd, and at their images, checks them, and removes them.",
            "",
            "A CACHE is the name under which it was opened, or the absolute path of its memory. Nothing but drop"
                    + " changes anything, takes a lock, or disturbs whoever has the cache open. With --xen the caches"
                    + " are those of an xen-simd; a cache of the simulated Xen back end without one, or of the back end"
                    + " volatile, lives inside its process, where no command can see it.",
            ""
        },
        subcommands = {
            StatusCommand.class,
            CheckCommands.Verify.class,
            CheckCommands.Audit.class,
            DropCommand.class,
            ImageCommand.class,
            CommandLine.HelpCommand.class
        },
        mixinStandardHelpOptions = true,
        versionProvider = Warmcache.Version.class,
        synopsisSubcommandLabel = "COMMAND",
        exitCodeListHeading = "%nExit codes:%n",
        exitCodeList = {
            "0:done, and all is well",
            "1:done, and something is wrong (verify, audit, image), or there was nothing to remove (drop)",
            "2:wrong arguments",
            "3:could not be done: no such cache or directory, no permission, no whole header",
            "4:the cache is in use (drop)"
        })
public final class Warmcache {
    static final int OK = 0;
    static final int WRONG = 1;
    static final int USAGE = 2;
    static final int FAILED = 3;
    static final int BUSY = 4;

    private Warmcache() {}

    /** Runs the command and exits with its code. */
    public static void main(String[] arguments) {
        System.exit(commandLine().execute(arguments));
    }

    static CommandLine commandLine() {
        return new CommandLine(new Warmcache())
                .setExecutionExceptionHandler((failure, command, result) -> {
                    if (failure instanceof IOException || failure instanceof CacheException) {
                        command.getErr().println("warmcache: " + failure.getMessage());
                        return failure instanceof BusyException ? BUSY : FAILED;
                    }
                    throw failure;
                });
    }

    /** The version in the manifest. */
    static final class Version implements CommandLine.IVersionProvider {
        @Override
        public String[] getVersion() {
            String version = Warmcache.class.getPackage().getImplementationVersion();
            return new String[] {"warmcache " + (version == null ? "(not from a jar)" : version)};
        }
    }
}
