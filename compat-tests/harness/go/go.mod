module milena.test/checks

go 1.22
