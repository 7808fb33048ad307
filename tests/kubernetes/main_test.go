package main

import (
	"strings"
	"testing"
)

func TestMistakesAreFound(t *testing.T) {
	for manifest, want := range map[string]string{
		"apiVersion: v1\nkind: Pod\nspec: {restartpolicy: Always}":                                        "restartpolicy",
		"apiVersion: v1\nkind: Pod\nspec: {containers: [{name: a}], containers: []}":                      "already",
		"apiVersion: v1\nkind: Pod\nspec: {terminationGracePeriodSeconds: soon}":                          "cannot unmarshal",
		"apiVersion: v1\nkind: Deployment":                                                                "unknown kind",
		"apiVersion: apps/v1\nkind: Deployment\nspec: {selector: {matchLabels: {app: a}}}":                "app=a",
		"apiVersion: v1\nkind: Pod\nspec: {containers: [{name: a, volumeMounts: [{name: b}]}]}":           "no volume \"b\"",
		"apiVersion: v1\nkind: Pod\nspec: {volumes: [{name: a, secret: {secretName: b}}]}":                "no Secret \"b\"",
		"apiVersion: v1\nkind: Pod\nspec: {containers: [{name: a, livenessProbe: {httpGet: {port: b}}}]}": "no port \"b\"",
	} {
		if err := check([]byte(manifest)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngives %v, not %s", manifest, err, want)
		}
	}
}
