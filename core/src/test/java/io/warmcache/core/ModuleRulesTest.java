/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static com.tngtech.archunit.base.DescribedPredicate.describe;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static java.util.stream.Collectors.toMap;
import static java.util.stream.Collectors.toSet;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.domain.JavaModifier;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.lang.ArchRule;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.SymbolLookup;
import java.lang.module.ModuleDescriptor;
import java.lang.module.ModuleDescriptor.Exports;
import java.lang.module.ModuleDescriptor.Provides;
import java.lang.module.ModuleFinder;
import java.lang.module.ModuleReader;
import java.lang.module.ModuleReference;
import java.net.URISyntaxException;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;

/**
 * What each module may use and show, read from the class files on the class path, in folders or jars. The lists of
 * packages are complete: one that is missing is a dependency that somebody has yet to decide on, here.
 */
class ModuleRulesTest {
    private static final String SERVICES = "META-INF/services/";

    private static final Module API = new Module(
            "io.warmcache",
            Set.of("io.warmcache", "io.warmcache.spi"),
            Set.of("java..", "org.jspecify..", "io.warmcache", "io.warmcache.spi"));

    /** {@code com.sun.nio.file}, where direct I/O is asked for, is exported to everybody. */
    private static final Module CORE = new Module(
            "io.warmcache.core",
            Set.of("io.warmcache.core.inspect"),
            Set.of(
                    "java..",
                    "javax.management",
                    "jdk.jfr",
                    "com.sun.nio.file",
                    "net.jpountz.lz4",
                    "org.jspecify..",
                    "org.roaringbitmap..",
                    "io.warmcache",
                    "io.warmcache.spi",
                    "io.warmcache.core.."));

    private static final Module SHM = new Module(
            "io.warmcache.shm",
            Set.of("io.warmcache.shm"),
            Set.of(
                    "java..",
                    "com.sun.management",
                    "com.sun.nio.file",
                    "org.jspecify..",
                    "io.warmcache",
                    "io.warmcache.spi",
                    "io.warmcache.shm.."));

    static final List<Module> MODULES = List.of(API, CORE, SHM);

    private static final Set<String> INTERNAL_PACKAGES = internalPackagesOfTheJdk();

    private static final ArchRule NO_JDK_INTERNALS = noClasses()
            .should()
            .dependOnClassesThat(
                    describe("the JDK keeps to itself", type -> INTERNAL_PACKAGES.contains(type.getPackageName())));

    @ParameterizedTest
    @FieldSource("MODULES")
    void moduleDependsOnAllowedPackagesOnly(Module module) {
        module.dependencyRule().check(module.importClasses());
    }

    @ParameterizedTest
    @FieldSource("MODULES")
    void moduleUsesNeitherUnsafeNorInternalsOfTheJdk(Module module) {
        NO_JDK_INTERNALS.check(module.importClasses());
    }

    /** The cache meets its own back end as it meets any other: by name. */
    @Test
    void theCacheKnowsNoBackEnd() {
        noClasses()
                .that()
                .resideOutsideOfPackage("io.warmcache.core.local..")
                .should()
                .dependOnClassesThat()
                .resideInAPackage("io.warmcache.core.local..")
                .check(CORE.importClasses());
        classes()
                .that()
                .resideInAPackage("io.warmcache.core.local..")
                .should()
                .onlyDependOnClassesThat(resideInAnyPackage(
                        "java..", "org.jspecify..", "io.warmcache", "io.warmcache.spi", "io.warmcache.core.local.."))
                .check(CORE.importClasses());
    }

    /** What runs on any platform and without native access calls nothing but Java. */
    @Test
    void apiAndCoreCallNothingNative() {
        for (Module module : List.of(API, CORE)) {
            noClasses()
                    .should()
                    .dependOnClassesThat()
                    .belongToAnyOf(Linker.class, SymbolLookup.class, FunctionDescriptor.class)
                    .check(module.importClasses());
        }
    }

    @ParameterizedTest
    @FieldSource("MODULES")
    void moduleExportsWhatIsMeantForUsersOnly(Module module) {
        ModuleDescriptor descriptor = module.reference().descriptor();
        assertEquals(module.exported(), exportedPackages(descriptor));
        assertTrue(descriptor.opens().isEmpty(), () -> descriptor + " opens " + descriptor.opens());
    }

    @ParameterizedTest
    @FieldSource("MODULES")
    void typeInHiddenPackageIsPublicOnlyForAnotherPackage(Module module) {
        Set<String> providers = module.reference().descriptor().provides().stream()
                .flatMap(provides -> provides.providers().stream())
                .collect(toSet());
        Set<String> needlesslyPublic = new HashSet<>();
        for (JavaClass type : module.importClasses()) {
            if (type.isTopLevelClass()
                    && type.getModifiers().contains(JavaModifier.PUBLIC)
                    && !module.exported().contains(type.getPackageName())
                    && !providers.contains(type.getName())
                    && type.getDirectDependenciesToSelf().stream()
                            .allMatch(use -> use.getOriginClass().getPackage().equals(type.getPackage()))) {
                needlesslyPublic.add(type.getName());
            }
        }
        assertEquals(Set.of(), needlesslyPublic);
    }

    /** The class path and the module path must find the same providers. */
    @ParameterizedTest
    @FieldSource("MODULES")
    void serviceFilesNameTheProvidersOfTheModule(Module module) throws IOException {
        ModuleReference reference = module.reference();
        Map<String, Set<String>> declared = reference.descriptor().provides().stream()
                .collect(toMap(Provides::service, provides -> Set.copyOf(provides.providers())));
        try (ModuleReader reader = reference.open()) {
            Map<String, Set<String>> files = reader.list()
                    .filter(name -> name.startsWith(SERVICES) && !name.endsWith("/"))
                    .collect(toMap(name -> name.substring(SERVICES.length()), name -> lines(reader, name)));
            assertEquals(declared, files);
        }
    }

    @Test
    void rulesFindAViolation() {
        JavaClasses thisTest = new ClassFileImporter().importClasses(ModuleRulesTest.class);
        assertTrue(CORE.dependencyRule().evaluate(thisTest).hasViolation(), "core may use ArchUnit");
        assertTrue(SHM.dependencyRule().evaluate(CORE.importClasses()).hasViolation(), "a back end may use core");
        JavaClasses unsafeUsers = new ClassFileImporter().importPackages("net.openhft.hashing");
        assertTrue(NO_JDK_INTERNALS.evaluate(unsafeUsers).hasViolation(), "Unsafe may be used");
    }

    /** Direct I/O is asked for in the one package of {@code jdk.unsupported} that has no successor and no Unsafe. */
    private static Set<String> internalPackagesOfTheJdk() {
        Set<String> internal = new HashSet<>();
        for (ModuleReference reference : ModuleFinder.ofSystem().findAll()) {
            internal.addAll(reference.descriptor().packages());
            if (!reference.descriptor().name().equals("jdk.unsupported")) {
                internal.removeAll(exportedPackages(reference.descriptor()));
            }
        }
        internal.remove("com.sun.nio.file");
        return internal;
    }

    private static Set<String> exportedPackages(ModuleDescriptor descriptor) {
        return descriptor.exports().stream()
                .filter(exports -> !exports.isQualified())
                .map(Exports::source)
                .collect(toSet());
    }

    private static Set<String> lines(ModuleReader reader, String name) {
        try {
            String text = StandardCharsets.UTF_8.decode(reader.read(name).orElseThrow()).toString();
            return text.lines()
                    .map(line -> line.replaceFirst("#.*", "").strip())
                    .filter(line -> !line.isEmpty())
                    .collect(toSet());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** A module of the library, found by the package it is named for. */
    record Module(String mainPackage, Set<String> exported, Set<String> allowed) {
        URL location() {
            try {
                // The one class that is there whatever else comes and goes.
                return Class.forName(mainPackage + ".package-info")
                        .getProtectionDomain()
                        .getCodeSource()
                        .getLocation();
            } catch (ClassNotFoundException e) {
                throw new AssertionError(mainPackage + " is not on the class path", e);
            }
        }

        ModuleReference reference() {
            try {
                return ModuleFinder.of(Path.of(location().toURI())).findAll().iterator().next();
            } catch (URISyntaxException e) {
                throw new AssertionError(e);
            }
        }

        JavaClasses importClasses() {
            return new ClassFileImporter().importUrl(location());
        }

        ArchRule dependencyRule() {
            return classes().should().onlyDependOnClassesThat(resideInAnyPackage(allowed.toArray(String[]::new)));
        }

        @Override
        public String toString() {
            return mainPackage;
        }
    }
}
