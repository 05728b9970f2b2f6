/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.jmh;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Path;

/** A file read by {@code pread} with {@code O_DIRECT} and nothing else: what there is to be had of a disk. */
final class RawFile implements AutoCloseable {
    private static final int O_DIRECT = System.getProperty("os.arch").equals("aarch64") ? 0x10000 : 0x4000;
    private static final Linker LINKER = Linker.nativeLinker();

    private static final MethodHandle OPEN = bind(
            "open",
            FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.ADDRESS, ValueLayout.JAVA_INT),
            Linker.Option.firstVariadicArg(2));

    private static final MethodHandle PREAD = bind(
            "pread",
            FunctionDescriptor.of(
                    ValueLayout.JAVA_LONG,
                    ValueLayout.JAVA_INT,
                    ValueLayout.ADDRESS,
                    ValueLayout.JAVA_LONG,
                    ValueLayout.JAVA_LONG));

    private static final MethodHandle CLOSE =
            bind("close", FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_INT));

    private final int descriptor;

    RawFile(Path path) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            descriptor = (int) OPEN.invokeExact(arena.allocateFrom(path.toString()), O_DIRECT);
        } catch (Throwable t) {
            throw new LinkageError("open", t);
        }
        if (descriptor < 0) {
            throw new IOException(path
                    + " cannot be opened for direct reads: choose a directory of another file system");
        }
    }

    @SuppressWarnings("restricted") // native access is what is to be measured
    private static MethodHandle bind(String name, FunctionDescriptor shape, Linker.Option... options) {
        return LINKER.downcallHandle(LINKER.defaultLookup().findOrThrow(name), shape, options);
    }

    /** Reads as much as {@code target} takes, all of it within the file. */
    void read(long position, MemorySegment target) {
        long n;
        try {
            n = (long) PREAD.invokeExact(descriptor, target, target.byteSize(), position);
        } catch (Throwable t) {
            throw new LinkageError("pread", t);
        }
        if (n != target.byteSize()) {
            throw new IllegalStateException("pread at " + position + " returned " + n);
        }
    }

    @Override
    public void close() {
        try {
            var _ = (int) CLOSE.invokeExact(descriptor);
        } catch (Throwable t) {
            throw new LinkageError("close", t);
        }
    }
}
