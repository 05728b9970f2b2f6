/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/**
 * A promise in a document is worth the test it names: every test class and method named in those that make promises,
 * and every file of this repository that they link to, is there.
 */
class DocumentedTestsTest {
    private static final Path ROOT = root();

    /** {@code ClassTest}, {@code ClassTest.method}, {@code ClassTest#method}; dots stand for the rest of a name. */
    private static final Pattern NAMED =
            Pattern.compile("(?:\\w+(?:\\.\\w+)*\\.)?([A-Z]\\w*(?:Test|Contract))(?:[.#]([a-z][\\w.]*))?");

    /** In a cell of tests, a method of the class named before it. */
    private static final Pattern METHOD = Pattern.compile("[a-z]\\w*(?:\\.\\.\\.\\w*)?");

    private static final Pattern QUOTED = Pattern.compile("`([^`]+)`");
    private static final Pattern LINK = Pattern.compile("\\]\\(([^)#:\\s]+)(?:#[^)]*)?\\)");
    private static final Pattern TEST_METHOD = Pattern.compile("\\bvoid (\\w+)\\(");
    private static final List<String> PROMISES = List.of("SECURITY.md", "docs/reliability.md", "docs/operations.md");

    /** Test methods by simple name of the class, of all classes of that name. */
    private final Map<String, Set<String>> methods = new HashMap<>();

    private final Set<String> problems = new TreeSet<>();
    private int named;

    private static Path root() {
        Path at = Path.of("").toAbsolutePath();
        while (!Files.exists(at.resolve("mvnw"))) {
            at = java.util.Objects.requireNonNull(at.getParent(), "no mvnw above the working directory");
        }
        return at;
    }

    private static List<Path> filesNamed(String end) throws IOException {
        List<Path> found = new ArrayList<>();
        Files.walkFileTree(ROOT, new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult preVisitDirectory(Path directory, BasicFileAttributes attributes) {
                String name = String.valueOf(directory.getFileName());
                boolean ours = directory.equals(ROOT) || (!name.startsWith(".") && !name.equals("target"));
                return ours ? FileVisitResult.CONTINUE : FileVisitResult.SKIP_SUBTREE;
            }

            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) {
                if (String.valueOf(file.getFileName()).endsWith(end)) {
                    found.add(file);
                }
                return FileVisitResult.CONTINUE;
            }
        });
        return found;
    }

    private void readTests() throws IOException {
        for (String end : List.of("Test.java", "Contract.java")) {
            for (Path file : filesNamed(end)) {
                String type = String.valueOf(file.getFileName()).replace(".java", "");
                Set<String> names = methods.computeIfAbsent(type, t -> new HashSet<>());
                Matcher method = TEST_METHOD.matcher(Files.readString(file));
                while (method.find()) {
                    names.add(method.group(1));
                }
            }
        }
    }

    private boolean has(String type, String method) {
        String[] ends = method.split("\\.\\.\\.", -1);
        return methods.getOrDefault(type, Set.of()).stream()
                .anyMatch(name -> ends.length == 1
                        ? name.equals(method)
                        : name.startsWith(ends[0]) && name.endsWith(ends[ends.length - 1]));
    }

    private void problem(Path document, int line, String what) {
        problems.add(ROOT.relativize(document) + ":" + line + ": " + what);
    }

    private void read(Path document) throws IOException {
        List<String> lines = Files.readAllLines(document);
        String header = "";
        for (int i = 0; i < lines.size(); i++) {
            String line = lines.get(i);
            links(document, i + 1, line);
            if (!line.startsWith("|")) {
                header = "";
                var _ = tests(document, i + 1, line, "", false);
                continue;
            }
            String[] cells = line.substring(1).split("(?<!\\\\)\\|", -1);
            String last = cells.length > 1 ? cells[cells.length - 2] : "";
            if (header.isEmpty()) {
                header = last;
                continue;
            }
            boolean ofTests = header.strip().startsWith("test");
            String within = tests(document, i + 1, header, "", false);
            for (int c = 0; c < cells.length - 2; c++) {
                var _ = tests(document, i + 1, cells[c], "", false);
            }
            var _ = tests(document, i + 1, last, within, ofTests);
        }
    }

    /** Looks for tests in a text; returns the class named last. */
    private String tests(Path document, int line, String text, String within, boolean bare) {
        String type = within;
        Matcher quoted = QUOTED.matcher(text);
        while (quoted.find()) {
            String word = quoted.group(1);
            Matcher test = NAMED.matcher(word);
            if (test.matches()) {
                named++;
                type = test.group(1);
                String method = test.group(2);
                if (!methods.containsKey(type)) {
                    problem(document, line, "there is no class " + type);
                } else if (method != null && !has(type, method)) {
                    problem(document, line, type + " has no method " + method);
                }
            } else if (bare && !type.isEmpty() && METHOD.matcher(word).matches() && isSentence(word)) {
                named++;
                if (!has(type, word)) {
                    problem(document, line, type + " has no method " + word);
                }
            }
        }
        return type;
    }

    /** As tests are named, and options and methods of the library are not. */
    private static boolean isSentence(String name) {
        return name.chars().filter(Character::isUpperCase).count() >= 3;
    }

    private void links(Path document, int line, String text) {
        Matcher link = LINK.matcher(text);
        while (link.find()) {
            Path target = document.resolveSibling(link.group(1)).normalize();
            if (target.startsWith(ROOT) && !Files.exists(target)) {
                problem(document, line, "there is no " + link.group(1));
            }
        }
    }

    @Test
    void everyTestAndFileThatADocumentNamesIsThere() throws Exception {
        readTests();
        assertTrue(methods.size() > 50, "tests are no longer found: " + methods.size());
        for (String document : PROMISES) {
            int before = named;
            read(ROOT.resolve(document));
            assertTrue(named - before >= 20, document + " names no tests any more, or in another way");
        }
        assertEquals(Set.of(), problems);
    }

    @Test
    void aNameThatIsNotThereIsFound() throws Exception {
        readTests();
        Path document = Files.writeString(
                Files.createTempDirectory("warmcache").resolve("document.md"),
                """
                | promise | test (`KillTest`) |
                |---|---|
                | one | `DocumentedTestsTest.aNameThatIsNotThereIsFound`, `everyTestAndFileThatADocumentNamesIsThere` |
                | two | `DocumentedTestsTest.thereIsNoSuchMethod`, `norIsThereThisOne` |
                | three | `aMethodOfNoClassAtAll` |
                and `NoSuchTest`, `KillTest`, `BackendContract`, `DocumentedTestsTest#aName...Found`, `x.Y.OtherTest.no`
                """);
        try {
            read(document);
        } finally {
            Files.delete(document);
            Files.delete(java.util.Objects.requireNonNull(document.getParent()));
        }
        assertEquals(5, problems.size(), problems::toString);
    }
}
