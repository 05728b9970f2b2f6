/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.fuzz;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import io.warmcache.AttachProgress;
import io.warmcache.BackingStore;
import io.warmcache.CacheConfig;
import io.warmcache.CacheException;
import io.warmcache.Checkpoint;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PageCacheMXBean;
import io.warmcache.PageCursor;
import io.warmcache.PageReader;
import io.warmcache.PagedFile;
import io.warmcache.ReadPin;
import io.warmcache.StoreId;
import io.warmcache.StoreVersion;
import io.warmcache.WarmUp;
import io.warmcache.WarmUpOptions;
import io.warmcache.WritePin;
import io.warmcache.core.CacheProvider;
import io.warmcache.core.checksum.Crc32c;
import io.warmcache.core.evict.Replacement;
import io.warmcache.core.image.FileDisk;
import io.warmcache.core.image.HotList;
import io.warmcache.core.image.ImageDisk;
import io.warmcache.core.image.ImageReader;
import io.warmcache.core.image.ImageWriter;
import io.warmcache.core.inspect.ImageInspector;
import io.warmcache.core.local.LocalProvider;
import io.warmcache.shm.ShmAudit;
import io.warmcache.shm.ShmProvider;
import io.warmcache.spi.BackendConfig;
import io.warmcache.spi.BackendFile;
import io.warmcache.spi.BlockChecksum;
import io.warmcache.spi.FrameBackend;
import io.warmcache.spi.FrameBackendProvider;
import io.warmcache.spi.FrameRecord;
import io.warmcache.spi.PageCacheProvider;
import io.warmcache.spi.SurvivorVisitor;
import io.warmcache.xen.Balloon;
import io.warmcache.xen.BreakableSimd;
import io.warmcache.xen.Domain;
import io.warmcache.xen.FaultInjector;
import io.warmcache.xen.GuestCrash;
import io.warmcache.xen.HypercallException;
import io.warmcache.xen.Machine;
import io.warmcache.xen.Scheduler;
import io.warmcache.xen.StepHook;
import io.warmcache.xen.VirtualDisk;
import io.warmcache.xen.XenProvider;
import io.warmcache.xen.XenSimd;
import java.io.Closeable;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.management.ManagementFactory;
import java.lang.reflect.Constructor;
import java.lang.reflect.Executable;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.Proxy;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.file.FileSystem;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.ServiceLoader;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.TreeSet;
import java.util.UUID;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import javax.management.JMX;
import javax.management.ObjectName;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Calls every public method and constructor, found by reflection, with null, negative, overflowing and closed
 * arguments, on open and closed objects, from another thread than the one that made them. Each call returns, or throws
 * what is documented; a call that was refused has changed nothing.
 *
 * <p>{@code -Dwarmcache.fuzz.factor=N} makes N times as many random mixtures of arguments, {@code
 * -Dwarmcache.fuzz.seed} other ones. The arguments of the command line are {@code
 * WarmcacheTest.wrongArgumentsAndMissingCachesHaveTheirExitCodes}'s.
 */
class EveryMethodTest {
    /** By their documentation any call may throw these; what is checked is in a method's own signature. */
    private static final List<Class<?>> DOCUMENTED = List.of(
            NullPointerException.class,
            IllegalArgumentException.class,
            IllegalStateException.class,
            IndexOutOfBoundsException.class,
            CacheException.class,
            UncheckedIOException.class,
            UnsupportedOperationException.class);

    /** What the simulated VMM's calls say besides. */
    private static final List<Class<?>> OF_THE_VMM = List.of(HypercallException.class, GuestCrash.class);

    /** Refusals that come before anything is done. */
    private static final List<Class<?>> BEFORE_ANYTHING = List.of(
            NullPointerException.class,
            IllegalArgumentException.class,
            IllegalStateException.class,
            IndexOutOfBoundsException.class,
            UnsupportedOperationException.class,
            WrongThreadException.class);

    /** One type of each package whose public types are called. */
    private static final List<Class<?>> PACKAGES = List.of(
            PageCache.class,
            FrameBackend.class,
            CacheProvider.class,
            Crc32c.class,
            HotList.class,
            ImageInspector.class,
            LocalProvider.class,
            ShmProvider.class,
            XenProvider.class);

    /** What nobody calls here, and why. */
    private static final Map<Object, String> NOT_CALLED = Map.of(
            Replacement.class, "of a package that is not exported; its one caller passes frames that it has checked",
            ImageWriter.class, "of a package that is not exported; its one caller passes what it has read",
            XenSimd.class, "its main() ends the process; XenSimdTest starts it as one");

    /** What callers implement, and the library calls. */
    private static final Set<Class<?>> CALLBACKS = Set.of(
            AttachProgress.class,
            SurvivorVisitor.class,
            FrameBackend.FileEvictor.class,
            BackendFile.RunFilled.class,
            ImageInspector.Progress.class,
            ShmAudit.Progress.class,
            Scheduler.Task.class,
            StepHook.class,
            VirtualDisk.FaultPlan.class);

    private static final Set<Class<?>> OF_A_CACHE = Set.of(
            PageCache.class,
            PageCacheMXBean.class,
            PagedFile.class,
            PageCursor.class,
            ReadPin.class,
            WritePin.class,
            Checkpoint.class,
            WarmUp.class,
            BackingStore.class,
            PageReader.class);

    private static final Set<Class<?>> OF_A_BACK_END = Set.of(
            FrameBackend.class,
            BackendFile.class,
            FrameBackendProvider.class,
            BlockChecksum.class,
            PageCacheProvider.class);

    private static final Set<Class<?>> OF_AN_IMAGE =
            Set.of(ImageDisk.class, ImageDisk.Reader.class, ImageDisk.Writer.class, ImageReader.class);

    private static final Set<Class<?>> OF_A_MACHINE = Set.of(
            Machine.class,
            Domain.class,
            Balloon.class,
            VirtualDisk.class,
            FaultInjector.class,
            Scheduler.class,
            BreakableSimd.class);

    private static final int RANDOM_CALLS = 3 * Integer.getInteger("warmcache.fuzz.factor", 1);
    private static final int PAGE = 4096;
    private static final int PAGES = 5;

    private final ExecutorService thread = Executors.newSingleThreadExecutor();
    private final long seed = Long.getLong("warmcache.fuzz.seed", 1);
    private final SplittableRandom random = new SplittableRandom(seed);
    private final Set<String> wrong = new TreeSet<>();
    private final Set<Executable> called = new HashSet<>();
    private final List<Closeable> opened = new ArrayList<>();
    /** Values of types that have none of their own here, benign ones first. */
    private final Map<Class<?>, List<@Nullable Object>> known = new HashMap<>();

    private int calls;
    private int names;

    @TempDir
    private Path directory;

    private Arena arena;
    private Arena ofThisThread;
    private MemorySegment closedSegment;

    @BeforeEach
    @SuppressWarnings("MustBeClosedChecker") // closed after each test
    void makeSegments() {
        System.out.println("seed " + seed);
        arena = Arena.ofShared();
        ofThisThread = Arena.ofConfined();
        try (Arena closed = Arena.ofShared()) {
            closedSegment = closed.allocate(PAGE);
        }
    }

    @AfterEach
    void close() throws Exception {
        thread.shutdownNow();
        closeAll();
        for (String backend : List.of("volatile", "shm", "xen")) {
            var _ = provider(backend).drop(backendConfig(config(backend)));
        }
        ofThisThread.close();
        arena.close();
        Files.deleteIfExists(Path.of(".tmp")); // of what was to be written to a path without a name
    }

    /** What was called before may have left it in any state; that nothing hangs or dies is the point. */
    private void closeAll() {
        for (Closeable each : opened.reversed()) {
            try {
                each.close();
            } catch (Exception e) {
                assertTrue(
                        e instanceof IOException || isIn(DOCUMENTED, e) || isIn(OF_THE_VMM, e),
                        () -> "closing " + each + ": " + e);
            }
        }
        opened.clear();
    }

    private void closedLater(@Nullable Object value) {
        switch (value) {
            case BackendFile file -> opened.add(file::close);
            case AutoCloseable closeable ->
                opened.add(() -> {
                    try {
                        closeable.close();
                    } catch (IOException | RuntimeException e) {
                        throw e;
                    } catch (Exception e) {
                        throw new IOException(e);
                    }
                });
            case null, default -> {}
        }
    }

    private <T> T opened(T value) {
        closedLater(value);
        return value;
    }

    // ---- what there is to call

    private static Path root(Class<?> of) throws Exception {
        URI root = of.getProtectionDomain().getCodeSource().getLocation().toURI();
        return Path.of(root);
    }

    private static List<Class<?>> publicTypes(Class<?> of) throws Exception {
        List<Class<?>> types = new ArrayList<>();
        String folder = of.getPackageName().replace('.', '/');
        Path path = root(of);
        if (Files.isDirectory(path)) {
            collect(path.resolve(folder), 1, types);
        } else {
            try (FileSystem jar = FileSystems.newFileSystem(path)) {
                collect(jar.getPath(folder), 1, types);
            }
        }
        return types;
    }

    private static void collect(Path folder, int depth, List<Class<?>> types) throws Exception {
        try (Stream<Path> all = Files.walk(folder, depth)) {
            for (Path each : all.map(Path::toString)
                    .filter(name -> name.endsWith(".class") && !name.endsWith("-info.class"))
                    .sorted()
                    .map(Path::of)
                    .toList()) {
                String name = each.toString().replace('/', '.');
                Class<?> type = Class.forName(name.substring(name.indexOf("io.warmcache."), name.length() - 6));
                boolean isPublic = Modifier.isPublic(type.getModifiers());
                for (Class<?> outer = type.getDeclaringClass(); outer != null; outer = outer.getDeclaringClass()) {
                    isPublic &= Modifier.isPublic(outer.getModifiers());
                }
                if (isPublic && !type.isAnonymousClass() && !type.isLocalClass()) {
                    types.add(type);
                }
            }
        }
    }

    private static List<Executable> executables(Class<?> type) {
        List<Executable> all = new ArrayList<>(List.of(type.getConstructors()));
        Arrays.stream(type.getDeclaredMethods())
                .filter(each -> Modifier.isPublic(each.getModifiers()) && !each.isSynthetic())
                .sorted(Comparator.comparing(Method::toGenericString))
                .forEach(all::add);
        return all;
    }

    private static boolean isOfInstance(Executable each) {
        return each instanceof Method && !Modifier.isStatic(each.getModifiers());
    }

    // ---- calling

    private static boolean isIn(List<Class<?>> types, Throwable thrown) {
        return types.stream().anyMatch(each -> each.isInstance(thrown));
    }

    private static boolean isDocumented(Throwable thrown, Executable method) {
        boolean takesMemory = List.of(method.getParameterTypes()).contains(MemorySegment.class);
        return isIn(DOCUMENTED, thrown)
                || (thrown instanceof WrongThreadException && takesMemory)
                || (method.getDeclaringClass().getPackageName().equals("io.warmcache.xen") && isIn(OF_THE_VMM, thrown))
                || Arrays.stream(method.getExceptionTypes())
                        .anyMatch(each -> each != Exception.class && each.isInstance(thrown));
    }

    /** What a call ended with: at most one of the two. */
    private record Outcome(@Nullable Object result, @Nullable Throwable thrown) {}

    private Outcome call(String of, Executable method, @Nullable Object target, @Nullable Object[] arguments)
            throws InterruptedException {
        calls++;
        called.add(method);
        try {
            Object result = thread.submit(() -> method instanceof Method m
                            ? m.invoke(target, arguments)
                            : ((Constructor<?>) method).newInstance(arguments))
                    .get(100, TimeUnit.SECONDS);
            return new Outcome(result, null);
        } catch (TimeoutException e) {
            StringBuilder stacks = new StringBuilder();
            Thread.getAllStackTraces()
                    .forEach((each, stack) -> stacks.append(each).append(Arrays.toString(stack)).append('\n'));
            return fail("HANG: " + named(of, method, arguments) + "\n" + stacks);
        } catch (ExecutionException e) {
            Throwable thrown = e.getCause() instanceof InvocationTargetException i ? i.getCause() : e.getCause();
            if (!isDocumented(thrown, method)) {
                wrong.add(named(of, method, arguments) + " throws " + thrown.getClass().getName() + at(thrown));
            } else if (thrown instanceof NullPointerException && !Arrays.asList(arguments).contains(null)) {
                wrong.add(
                        named(of, method, arguments) + " throws a NullPointerException without any null" + at(thrown));
            }
            return new Outcome(null, thrown);
        }
    }

    private static String named(String of, Executable method, @Nullable Object[] arguments) {
        return of + ": " + method.getDeclaringClass().getSimpleName() + "." + method.getName()
                + Arrays.stream(arguments)
                        .map(each -> each != null && each.getClass().isRecord()
                                ? each.getClass().getSimpleName()
                                : String.valueOf(each))
                        .toList();
    }

    private static String at(Throwable thrown) {
        return " at "
                + Arrays.stream(thrown.getStackTrace())
                        .filter(each -> each.getClassName().startsWith("io.warmcache"))
                        .limit(3)
                        .map(StackTraceElement::toString)
                        .collect(Collectors.joining(" < "))
                + " (" + thrown.getMessage() + ")";
    }

    /** Every bad value of each argument once with benign others, and random mixtures. */
    private List<@Nullable Object[]> vectors(Executable method) {
        List<List<@Nullable Object>> values =
                Arrays.stream(method.getParameterTypes()).map(each -> values(each, method)).toList();
        List<@Nullable Object[]> vectors = new ArrayList<>();
        @Nullable Object[] benign = values.stream().map(List::getFirst).toArray();
        vectors.add(benign);
        for (int i = 0; i < values.size(); i++) {
            for (Object value : values.get(i).subList(1, values.get(i).size())) {
                @Nullable Object[] vector = benign.clone();
                vector[i] = value;
                vectors.add(vector);
            }
        }
        for (int i = 0; i < (values.size() > 1 ? RANDOM_CALLS : 0); i++) {
            vectors.add(values.stream().map(each -> each.get(random.nextInt(each.size()))).toArray());
        }
        return vectors;
    }

    private List<@Nullable Object> values(Class<?> type, Executable method) {
        List<@Nullable Object> given = known.get(type);
        if (given != null) {
            return given;
        }
        if (type.isEnum()) {
            return withNull(List.of(type.getEnumConstants()));
        }
        return switch (type.getName()) {
            case "boolean" -> List.of(true, false);
            case "int" -> List.of(0, 1, -1, 3, PAGE, 1 << 24, Integer.MAX_VALUE, Integer.MIN_VALUE);
            case "long" -> List.of(0L, 1L, -1L, PAGES * (long) PAGE - 1, 1L << 40, Long.MAX_VALUE, Long.MIN_VALUE,
                    Long.MAX_VALUE - PAGE + 1);
            case "double" -> List.of(0.0, -1.0, 1e300, Double.NaN, Double.NEGATIVE_INFINITY);
            case "[B" -> withNull(List.of(new byte[100], new byte[0]));
            case "[I" -> withNull(List.of(new int[] {2}, new int[0], new int[] {-1, 1 << 24}));
            case "[[I" -> withNull(List.of(new int[][] {{2}}, new int[0][], new int[1][]));
            case "[J" -> withNull(List.of(new long[] {1}, new long[0]));
            case "java.lang.String" -> withNull(List.of("a", "", "/", "\0", "../x", "x".repeat(300)));
            case "java.lang.Object" -> withNull(List.of("an object"));
            case "java.lang.Throwable" -> withNull(List.of(new IOException("of a test")));
            case "java.nio.ByteBuffer" -> withNull(List.of(
                    ByteBuffer.allocate(8), ByteBuffer.allocate(0), ByteBuffer.allocate(9).asReadOnlyBuffer()));
            case "java.nio.file.Path" -> withNull(List.of(
                    directory.resolve("none"), directory, Path.of(""), Path.of("/proc/self/mem")));
            case "java.time.Duration" -> withNull(List.of(
                    Duration.ofMillis(5), Duration.ZERO, Duration.ofSeconds(-1), Duration.ofSeconds(Long.MAX_VALUE),
                    Duration.ofSeconds(Long.MIN_VALUE)));
            case "java.time.Instant" -> withNull(List.of(Instant.EPOCH, Instant.MAX, Instant.MIN));
            case "java.lang.foreign.MemorySegment" -> withNull(List.of(
                    arena.allocate(2 * PAGE, PAGE), MemorySegment.ofArray(new byte[10]), MemorySegment.NULL,
                    arena.allocate(PAGE).asReadOnly(), closedSegment, ofThisThread.allocate(PAGE),
                    MemorySegment.ofArray(new long[0])));
            case "java.util.Map" -> withNull(List.of(Map.of(), Map.of("shm.domain", "none")));
            case "java.util.List", "java.util.Collection" -> withNull(List.of(List.of()));
            case "java.util.UUID" -> withNull(List.of(new UUID(1, 2)));
            default -> {
                if (CALLBACKS.contains(type)) {
                    InvocationHandler handler = (self, what, arguments) -> switch (what.getName()) {
                        case "turn" -> false;
                        case "goesOn" -> true;
                        case "toString" -> "a " + type.getSimpleName();
                        default -> null;
                    };
                    yield withNull(List.of(
                            Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {type}, handler)));
                }
                if (type.isRecord() || type.getName().startsWith("io.warmcache.")) {
                    yield withNull(List.of());
                }
                throw new AssertionError("no values of " + type + " for " + method + ": give some here");
            }
        };
    }

    private static List<@Nullable Object> withNull(Collection<?> some) {
        List<@Nullable Object> values = new ArrayList<>(some);
        values.add(null);
        return values;
    }

    private void know(Class<?> type, Object... values) {
        known.put(type, withNull(List.of(values)));
    }

    private void requireNothingWrong() {
        System.out.println(calls + " calls of " + called.size() + " methods and constructors");
        assertEquals("", String.join("\n", wrong));
    }

    // ---- fixtures

    private String name() {
        return "every-method-" + ProcessHandle.current().pid();
    }

    private CacheConfig config(String backend) {
        return CacheConfig.of(name(), 16L * PAGE)
                .withBackend(backend)
                .withMaxCapacity(24L * PAGE)
                .withMaxFiles(4)
                .withLatchTimeout(Duration.ofMillis(50))
                .withOwnerWait(Duration.ofMillis(1))
                .withOptions(Map.of("core.maintenance", "off", "shm.cgroupCheck", "off", "xen.machine", name()));
    }

    private HeapStore store(long id) {
        byte[] content = new byte[PAGES * PAGE - 100];
        new SplittableRandom(id).nextBytes(content);
        return new HeapStore(new StoreId(1, id), StoreVersion.exact(1, 1), content);
    }

    private static BackendConfig backendConfig(CacheConfig config) {
        List<BlockChecksum> all = PageCacheProvider.load().checksums();
        return new BackendConfig(config, all.getFirst(), all);
    }

    private static FrameBackendProvider provider(String name) {
        return ServiceLoader.load(FrameBackendProvider.class).stream()
                .map(ServiceLoader.Provider::get)
                .filter(each -> each.name().equals(name))
                .findFirst()
                .orElseThrow();
    }

    private void knowUsualValues(String backend) {
        known.clear();
        CacheConfig config = config(backend);
        know(CacheConfig.class, config, config.withBackend("none"), config.withChecksum("none"));
        know(MapOptions.class, MapOptions.DEFAULT, MapOptions.DEFAULT.withReadOnly(true));
        know(StoreId.class, new StoreId(1, 1));
        know(StoreVersion.class, StoreVersion.none());
        know(WarmUpOptions.class, WarmUpOptions.NONE);
        know(BackendConfig.class, backendConfig(config));
        know(FrameRecord.class, new FrameRecord());
        know(BackingStore.class, store(11));
        know(BlockChecksum.class, PageCacheProvider.load().checksums().getFirst());
        know(Consumer.class, (Consumer<Object>) each -> {}, (Consumer<Object>) each -> {
            throw new IllegalStateException("of a test");
        });
        know(PageReader.class, (PageReader) (memory, offset) -> 1, (PageReader) (memory, offset) -> {
            throw new IllegalArgumentException("of a test");
        });
    }

    /** What calls go to. */
    private interface Life {
        Object part(Class<?> type) throws Exception;

        /** That calls which were refused have changed nothing. */
        default void assertUnchanged() throws Exception {}
    }

    private interface Making {
        Life make(Class<?> type) throws Exception;
    }

    /** An open cache with what it hands out, or one that was closed again. */
    private final class CacheLife implements Life {
        private final Map<Class<?>, Object> parts = new LinkedHashMap<>();
        private final HeapStore store = store(7);
        private final byte[] content = store.bytes().clone();
        private final PageCache cache;
        private final PagedFile file;

        CacheLife(Class<?> type, boolean closed) throws Exception {
            CacheConfig config = config("volatile");
            boolean warmsUp = type == WarmUp.class || type == Checkpoint.class;
            Path images = directory.resolve("images");
            cache = opened(PageCache.open(
                    warmsUp ? config.withOptions(Map.of()).withWarmUp(WarmUpOptions.in(images)) : config));
            file = opened(cache.map(store, MapOptions.DEFAULT));
            // One that has not ended is waited for as long as the caller asks for, which may be for ever.
            assertTrue(cache.warmUp().await(Duration.ofSeconds(100)));
            file.read(0, MemorySegment.ofArray(new byte[4 * PAGE]));
            PageCursor cursor = file.cursor();
            cursor.seek(1);
            parts.put(PageCache.class, cache);
            parts.put(PagedFile.class, file);
            parts.put(PageCursor.class, cursor);
            parts.put(BackingStore.class, store);
            parts.put(PageReader.class, (PageReader) (memory, offset) -> memory.get(ValueLayout.JAVA_BYTE, offset));
            parts.put(WarmUp.class, cache.warmUp());
            if (type == ReadPin.class) {
                parts.put(type, opened(file.pin(2)));
            } else if (type == WritePin.class) {
                parts.put(type, opened(file.pinForWrite(3)));
            } else if (type == Checkpoint.class) {
                Checkpoint checkpoint = cache.checkpoint(images);
                checkpoint.await();
                parts.put(type, checkpoint);
            } else if (type == PageCacheMXBean.class) {
                var server = ManagementFactory.getPlatformMBeanServer();
                ObjectName all = new ObjectName("io.warmcache:type=PageCache,name=" + ObjectName.quote(name()) + ",*");
                ObjectName found = server.queryNames(all, null).iterator().next();
                parts.put(type, JMX.newMXBeanProxy(server, found, PageCacheMXBean.class));
            }
            if (closed) {
                closeAll();
            }
        }

        @Override
        public Object part(Class<?> type) {
            Object part = parts.get(type);
            return part != null ? part : fail("no " + type);
        }

        @Override
        public void assertUnchanged() throws Exception {
            if (parts.get(WritePin.class) instanceof WritePin pin) {
                pin.abort();
            }
            if (parts.get(ReadPin.class) instanceof ReadPin pin) {
                pin.close();
            }
            assertEquals(content.length, file.size());
            assertEquals(16L * PAGE, cache.capacity());
            assertTrue(cache.health().healthy(), () -> cache.health().toString());
            byte[] read = new byte[content.length];
            assertEquals(read.length, file.read(0, MemorySegment.ofArray(read)));
            assertTrue(Arrays.equals(content, read), "what is read has changed");
            file.force();
            assertTrue(Arrays.equals(content, store.bytes()), "what is stored has changed");
            cache.resize(20L * PAGE); // nothing is left latched or pinned
            cache.resize(8L * PAGE);
        }
    }

    /** The same of a back end. */
    private final class BackendLife implements Life {
        private final Map<Class<?>, Object> parts = new LinkedHashMap<>();
        private final FrameBackend attached;
        private final List<String> before;

        BackendLife(String backend, boolean closed) throws Exception {
            attached = opened(provider(backend).attach(backendConfig(config(backend))));
            for (int frame = 0; frame < attached.frames(); frame++) {
                attached.release(frame); // what an earlier life left
            }
            BackendFile file = attached.openFile(store(8), id -> {});
            opened.add(file::close);
            file.accept();
            file.fill(0, new int[] {0, 1}, 2, PAGES * (long) PAGE, 0);
            parts.put(FrameBackend.class, attached);
            parts.put(BackendFile.class, file);
            parts.put(FrameBackendProvider.class, provider(backend));
            parts.put(BlockChecksum.class, attached.checksum());
            parts.put(PageCacheProvider.class, PageCacheProvider.load());
            before = closed ? List.of() : records();
            if (closed) {
                closeAll();
            }
        }

        private List<String> records() {
            FrameRecord record = new FrameRecord();
            List<String> records = new ArrayList<>();
            for (int frame = 0; frame < attached.frames(); frame++) {
                boolean whole = attached.readRecord(frame, record);
                records.add(frame + " " + whole + " " + record.state + " " + record.fileId + " " + record.page + " "
                        + record.generation + " " + attached.hint(frame));
            }
            return records;
        }

        @Override
        public Object part(Class<?> type) {
            Object part = parts.get(type);
            return part != null ? part : fail("no " + type);
        }

        @Override
        public void assertUnchanged() {
            assertEquals(before, records());
        }
    }

    private void callAll(String of, Set<Class<?>> types, boolean closed, Making making) throws Exception {
        for (Class<?> type : types.stream().sorted(Comparator.comparing(Class::getName)).toList()) {
            for (Executable method : executables(type)) {
                if (!isOfInstance(method)) {
                    continue;
                }
                Life life = null;
                List<String> refused = new ArrayList<>();
                for (@Nullable Object[] arguments : vectors(method)) {
                    if (life == null) {
                        life = making.make(type);
                    }
                    Outcome outcome = call(of, method, life.part(type), arguments);
                    Throwable thrown = outcome.thrown();
                    closedLater(outcome.result());
                    if (closed) {
                        closeIfMany();
                    } else if (thrown != null && isIn(BEFORE_ANYTHING, thrown)) {
                        refused.add(named(of, method, arguments) + ": " + thrown);
                    } else {
                        closeAll();
                        refused.clear();
                        life = null;
                    }
                }
                if (life != null && !closed) {
                    try {
                        life.assertUnchanged();
                    } catch (Exception | AssertionError e) {
                        wrong.add("changed by one of " + refused + ": " + e);
                    }
                }
                closeAll();
            }
        }
    }

    private void closeIfMany() {
        if (opened.size() > 20) {
            closeAll();
        }
    }

    // ---- the tests

    @Test
    void noPackageIsForgotten() throws Exception {
        Set<String> packages = PACKAGES.stream().map(Class::getPackageName).collect(Collectors.toSet());
        Set<String> forgotten = new TreeSet<>();
        for (Class<?> of : List.of(PageCache.class, CacheProvider.class, ShmProvider.class, XenProvider.class)) {
            List<Class<?>> types = new ArrayList<>();
            Path path = root(of);
            if (Files.isDirectory(path)) {
                collect(path.resolve("io/warmcache"), 99, types);
            } else {
                try (FileSystem jar = FileSystems.newFileSystem(path)) {
                    collect(jar.getPath("io/warmcache"), 99, types);
                }
            }
            assertTrue(types.size() > 2, () -> "the types of " + path + " are not found");
            types.stream()
                    .filter(each -> !packages.contains(each.getPackageName()) && !NOT_CALLED.containsKey(each))
                    .map(Class::getName)
                    .filter(each -> !each.startsWith(Replacement.class.getName()))
                    .forEach(forgotten::add);
        }
        assertEquals(Set.of(), forgotten, "public types of packages of which nobody calls anything: add to PACKAGES");
    }

    /** Constructors, static methods, records, enums and exceptions; and that nothing public is called nowhere. */
    @Test
    void dataAndStaticMethodsAndNothingIsForgotten() throws Exception {
        knowUsualValues("volatile");
        leaveASegment();
        harvestReports();
        know(ImageDisk.class, FileDisk.INSTANCE);
        know(FileDisk.class, FileDisk.INSTANCE);
        Machine machine = opened(Machine.create(name() + "-m", 256, 1));
        know(Machine.class, machine);
        know(Domain.class, machine.createDomain("d", 32));
        harvest(assertThrows(HypercallException.class, () -> machine.createDomain("d", 32)));
        know(PageCache.class, opened(PageCache.open(config("volatile"))));
        List<Class<?>> types = new ArrayList<>();
        for (Class<?> each : PACKAGES) {
            types.addAll(publicTypes(each));
        }
        types.removeAll(NOT_CALLED.keySet());
        for (Class<?> type : types) {
            knowSmallNumbers(type);
            for (Executable each : executables(type)) {
                if (!isOfInstance(each)) {
                    for (@Nullable Object[] arguments : vectors(each)) {
                        Outcome outcome = call("new", each, null, arguments);
                        harvest(outcome.result());
                        harvest(outcome.thrown());
                        closedLater(outcome.result());
                        closeIfMany();
                    }
                }
            }
        }
        Set<Class<?>> ofLives = new HashSet<>(CALLBACKS);
        Stream.of(OF_A_CACHE, OF_A_BACK_END, OF_AN_IMAGE, OF_A_MACHINE).forEach(ofLives::addAll);
        for (Class<?> type : types) {
            knowSmallNumbers(type);
            Object target = type.isEnum()
                    ? type.getEnumConstants()[0]
                    : known.getOrDefault(type, withNull(List.of())).getFirst();
            for (Executable each : executables(type)) {
                if (isOfInstance(each) && target != null && !ofLives.contains(type)) {
                    for (@Nullable Object[] arguments : vectors(each)) {
                        Outcome outcome = call("data", each, target, arguments);
                        closedLater(outcome.result());
                        closeIfMany();
                    }
                }
                if (!called.contains(each) && !(isOfInstance(each) && ofLives.contains(type))) {
                    wrong.add("nobody calls " + each + ": add its type to a life, or make one");
                }
            }
        }
        requireNothingWrong();
    }

    /** Machine frames and bytes are taken at once: no test asks for gigabytes of them. */
    private void knowSmallNumbers(Class<?> type) {
        known.remove(int.class);
        known.remove(long.class);
        if (type.getPackageName().equals("io.warmcache.xen")) {
            known.put(int.class, List.of(0, 1, -1, 9, 40, Integer.MAX_VALUE, Integer.MIN_VALUE));
            known.put(long.class, List.of(1L << 20, 0L, -1L, Long.MAX_VALUE, Long.MIN_VALUE));
        }
    }

    /** For the inspectors: of a process that ended in order. */
    private void leaveASegment() throws Exception {
        try (PageCache cache = PageCache.open(config("shm"));
                PagedFile file = cache.map(store(9), MapOptions.DEFAULT)) {
            file.read(0, MemorySegment.ofArray(new byte[PAGE]));
        }
    }

    /** Reports as a cache gives them out. */
    private void harvestReports() throws Exception {
        Path images = directory.resolve("images");
        CacheConfig config = config("volatile").withWarmUp(WarmUpOptions.in(images));
        try (PageCache cache = PageCache.open(config);
                PagedFile file = cache.map(store(10), MapOptions.DEFAULT)) {
            file.read(0, MemorySegment.ofArray(new byte[2 * PAGE]));
            Checkpoint checkpoint = cache.checkpoint(images);
            harvest(checkpoint.await());
            Stream.of(cache.stats(), cache.health(), cache.recovery(), file.explain(0), checkpoint.progress())
                    .forEach(this::harvest);
            harvest(cache.warmUp().status());
        }
        FrameBackend attached = opened(provider("volatile").attach(backendConfig(config("volatile"))));
        harvest(attached.attachReport());
        BackendFile file = attached.openFile(store(8), id -> {});
        harvest(file.verdict());
        file.close();
        harvest(ImageInspector.inspect(images, true, (done, of) -> {}));
    }

    /** Takes an object as the one whose methods are called, and its parts. */
    private void harvest(@Nullable Object value) {
        if (value instanceof Collection<?> all) {
            all.forEach(this::harvest);
        } else if (value != null && value.getClass().getName().startsWith("io.warmcache.")) {
            if (known.putIfAbsent(value.getClass(), withNull(List.of(value))) == null && value.getClass().isRecord()) {
                for (Method each : value.getClass().getDeclaredMethods()) {
                    if (each.getParameterCount() == 0 && Modifier.isPublic(each.getModifiers())) {
                        try {
                            harvest(each.invoke(value));
                        } catch (ReflectiveOperationException e) {
                            throw new LinkageError(each.toString(), e);
                        }
                    }
                }
            }
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void everythingThatACacheHandsOut(boolean closed) throws Exception {
        knowUsualValues("volatile");
        Set<Class<?>> types = new HashSet<>(OF_A_CACHE);
        if (closed) {
            types.remove(PageCacheMXBean.class); // taken out of the server then
        }
        callAll(closed ? "closed" : "open", types, closed, type -> new CacheLife(type, closed));
        requireNothingWrong();
    }

    @ParameterizedTest
    @ValueSource(strings = {"volatile", "shm", "xen"})
    void everyVerbOfABackEnd(String backend) throws Exception {
        knowUsualValues(backend);
        for (boolean closed : new boolean[] {false, true}) {
            String of = backend + (closed ? ", closed" : "");
            callAll(of, OF_A_BACK_END, closed, type -> new BackendLife(backend, closed));
        }
        requireNothingWrong();
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void filesOfImages(boolean closed) throws Exception {
        knowUsualValues("volatile");
        harvestReports();
        Path images = directory.resolve("images");
        Path image;
        try (Stream<Path> all = Files.list(images)) {
            image = all.filter(each -> each.toString().endsWith(".wcimg")).findFirst().orElseThrow();
        }
        callAll(closed ? "closed" : "open", OF_AN_IMAGE, closed, type -> {
            ImageDisk.Reader in = opened(FileDisk.INSTANCE.open(image));
            ImageDisk.Writer out = opened(FileDisk.INSTANCE.create(directory.resolve("written")));
            ImageReader reader = opened(new ImageReader(opened(FileDisk.INSTANCE.open(image))));
            reader.readTable(0);
            reader.readPages();
            if (closed) {
                closeAll();
            }
            return part -> part == ImageDisk.class
                    ? FileDisk.INSTANCE
                    : part == ImageDisk.Reader.class ? in : part == ImageDisk.Writer.class ? out : reader;
        });
        requireNothingWrong();
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aSimulatedMachine(boolean closed) throws Exception {
        knowUsualValues("volatile");
        knowSmallNumbers(Machine.class);
        callAll(closed ? "powered off" : "on", OF_A_MACHINE, closed, type -> {
            Machine machine = opened(Machine.create(name() + "-" + names++, 256, 1));
            Domain domain = machine.createDomain("d", 64);
            FaultInjector injector = new FaultInjector(1);
            VirtualDisk disk = new VirtualDisk(new StoreId(3, names), new byte[2 * PAGE]);
            know(Domain.class, domain);
            Map<Class<?>, Object> parts = new HashMap<>(Map.of(
                    Machine.class, machine,
                    Domain.class, domain,
                    VirtualDisk.class, disk,
                    FaultInjector.class, injector,
                    Scheduler.class, new Scheduler(1)));
            if (type == Balloon.class) {
                CacheConfig ofMachine = config("xen").withOptions(Map.of("xen.machine", machine.name()));
                PageCache cache = opened(PageCache.open(ofMachine));
                parts.put(type, opened(new Balloon(cache, machine.domain(name()))));
            } else if (type == BreakableSimd.class) {
                Path socket = directory.resolve(names + ".sock");
                parts.put(type, opened(BreakableSimd.start(socket, 4 << 20, directory)));
            }
            if (closed) {
                closeAll();
            }
            return parts::get;
        });
        requireNothingWrong();
    }
}
