/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import java.io.IOException;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;
import picocli.CommandLine;

/** The server as a program; {@code --help} tells its options and exit codes. */
public final class KvServer {
    private static final int EXIT_STOPPED = 0;
    private static final int EXIT_NOT_STARTED = 1;
    private static final int EXIT_WRONG_OPTIONS = 2;
    private static final int EXIT_STORAGE_FAILED = 3;

    private static final AtomicBoolean EXITING = new AtomicBoolean();

    private KvServer() {}

    /** Starts the server, prints the READY line and returns; the server runs on until it is stopped. */
    public static void main(String[] arguments) {
        ServerOptions options = new ServerOptions();
        CommandLine commandLine = new CommandLine(options).setCaseInsensitiveEnumValuesAllowed(true);
        ServerConfig config;
        try {
            commandLine.parseArgs(arguments);
            if (commandLine.isUsageHelpRequested()) {
                commandLine.usage(System.out);
                return;
            }
            if (commandLine.isVersionHelpRequested()) {
                commandLine.printVersionHelp(System.out);
                return;
            }
            config = options.config();
        } catch (CommandLine.ParameterException | IllegalArgumentException e) {
            System.err.println("kv-server: " + e.getMessage() + "\nkv-server --help lists the options");
            System.exit(EXIT_WRONG_OPTIONS);
            return;
        }
        Server server;
        try {
            server = new Server(config, options.openFile(), KvServer::exitSoon, KvServer::failStop);
        } catch (IOException | IllegalArgumentException e) {
            System.err.println("kv-server: cannot start: " + e.getMessage());
            System.exit(EXIT_NOT_STARTED);
            return;
        }
        Runtime.getRuntime().addShutdownHook(new Thread(() -> stop(server), "kv-stop"));
        System.out.println(readyLine(server));
        System.out.flush();
        awaitStop();
    }

    /** {@code READY} and {@code name=value} pairs; values hold no spaces. */
    private static String readyLine(Server server) {
        ServerConfig config = server.config();
        Map<String, String> cache = server.cache().fields();
        return "READY port=" + server.port()
                + " pid=" + ProcessHandle.current().pid()
                + " elapsed_ms=" + ProcessAge.millis()
                + " durability=" + config.durability().word()
                + " threads=" + config.threads()
                + " mvstore_cache=" + ByteSize.format((long) config.mvstoreCacheMiB() << 20)
                + " mvstore_page=" + ByteSize.format(config.mvstorePageBytes())
                + " warmcache=" + cache.getOrDefault("warmcache_enabled", "0")
                + " warm=" + cache.getOrDefault("recovery_warm", "0")
                + " frames_found=" + cache.getOrDefault("recovery_frames_found", "0")
                + " frames_kept=" + cache.getOrDefault("recovery_frames_kept", "0");
    }

    /** The server's threads are daemons, so that nothing keeps a process alive that cannot stop in order. */
    private static void awaitStop() {
        synchronized (EXITING) {
            while (true) {
                try {
                    EXITING.wait();
                } catch (InterruptedException e) {
                    return;
                }
            }
        }
    }

    /** Runs as the JVM goes down, by SIGTERM, SIGINT or SHUTDOWN. */
    private static void stop(Server server) {
        try {
            server.close();
        } catch (RuntimeException e) {
            System.err.println("kv-server: stopped with an error, and the last writes may be lost: " + e);
            Runtime.getRuntime().halt(EXIT_STORAGE_FAILED);
        }
        System.err.println("kv-server: stopped");
        // a JVM that a signal ends would report the signal, though everything is in order
        Runtime.getRuntime().halt(EXIT_STOPPED);
    }

    private static void exitSoon() {
        if (EXITING.compareAndSet(false, true)) {
            // exit waits for the hooks, which wait for the event loop that calls this
            new Thread(() -> System.exit(EXIT_STOPPED), "kv-exit").start();
        }
    }

    /** Ends at once and closes nothing: what could not be written must not be tried again and then taken for safe. */
    private static void failStop(Throwable cause) {
        System.err.println("kv-server: the data file cannot be written (" + cause
                + "): stopping, so that nothing is acknowledged that is not safe. Mend the disk and start again");
        Runtime.getRuntime().halt(EXIT_STORAGE_FAILED);
    }
}
